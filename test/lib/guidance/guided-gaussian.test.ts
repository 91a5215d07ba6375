// Guides in closed form: a Gaussian that is observed with Gaussian noise. What a perfect network and the exact gradient of the observation's
// density at every noise level give has to be the product of both.
import { describe, expect, it } from 'vitest';

import { guidedProgram, type GuideForm } from '../../../lib/guidance/guided-program.js';
import type { StepProgram } from '../../../lib/program/program.js';
import { samplers } from '../../../lib/samplers/index.js';
import { amplitudesOfNetworkTime } from '../../../lib/schedule/network-level.js';
import type { Amplitudes } from '../../../lib/schedule/noise-level.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { interpret, type InterpretedModel } from '../../support/interpreter.js';

const count = 4000;
const means = [0.5, -1, 0];
const deviations = [0.4, 1, 0.1];
const observed = [1, 0.3, 0.2];
const observationNoise = [0.3, 0.5, 2];
const dimensions = means.length;
const schedule = NoiseSchedule.linear({ steps: 1000 });
const known = new Map<number, Amplitudes>();
function amplitudesAt(time: number): Amplitudes {
  let found = known.get(time);
  if (found === undefined) known.set(time, (found = amplitudesOfNetworkTime(schedule, time)));
  return found;
}

/** Evaluates the data's distribution at a time for a value. */
function marginal(x: number, time: number, index: number) {
  const { alpha, sigma } = amplitudesAt(time);
  const d = index % dimensions;
  const [mean, variance] = [means[d]!, deviations[d]! ** 2];
  return { d, alpha, sigma, mean, variance, total: alpha ** 2 * variance + sigma ** 2, away: x - alpha * mean };
}

/** The exact noise prediction of the data, and the gradient of ln p(observed | x). */
const exact: InterpretedModel = {
  out(x, time, index) {
    const { sigma, total, away } = marginal(x, time, index);
    return (sigma * away) / total;
  },
  guide(x, time, index) {
    const { d, alpha, sigma, mean, variance, total, away } = marginal(x, time, index);
    const gain = (alpha * variance) / total;
    const left = (variance * sigma ** 2) / total + observationNoise[d]! ** 2;
    return (gain * (observed[d]! - mean - gain * away)) / left;
  },
};

function samplesOf(program: StepProgram, form: GuideForm): Float64Array {
  const guided = guidedProgram(program, form, (time) => -amplitudesAt(time).sigma);
  let state = 5;
  // Xorshift: millions of numbers, of which little is asked.
  const unit = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(unit())) * Math.cos(2 * Math.PI * unit());
  const drawn = (): Float64Array => Float64Array.from({ length: count * dimensions }, normal);
  return interpret(guided, exact, drawn(), drawn);
}

const cases: [string, StepProgram, GuideForm][] = [
  ['ddpm by its mean', samplers.ddpm(schedule, { steps: 1000, variance: 'beta-tilde' }), 'mean'],
  ['ddpm by the score', samplers.ddpm(schedule, { steps: 1000, variance: 'beta-tilde' }), 'score'],
  ['ddim', samplers.ddim(schedule, { steps: 500 }), 'score'],
  ['dpm-solver++-2m', samplers['dpm-solver++-2m'](schedule, { steps: 240 }), 'score'],
  ['unipc', samplers.unipc(schedule, { steps: 240 }), 'score'],
];

describe('a guided Gaussian', () => {
  it.each(cases)('of %s is the product of both densities', (_, program, form) => {
    const states = samplesOf(program, form);
    for (let d = 0; d < dimensions; ++d) {
      const own = Array.from({ length: count }, (__, n) => states[n * dimensions + d]!);
      const precision = 1 / deviations[d]! ** 2 + 1 / observationNoise[d]! ** 2;
      const mean = (means[d]! / deviations[d]! ** 2 + observed[d]! / observationNoise[d]! ** 2) / precision;
      const deviation = Math.sqrt(1 / precision);
      const found = own.reduce((sum, value) => sum + value, 0) / count;
      const variance = own.reduce((sum, value) => sum + (value - found) ** 2, 0) / (count - 1);
      // Four standard errors, and what steps of this length lose.
      expect(Math.abs(found - mean)).toBeLessThan((4 / Math.sqrt(count) + 0.02) * deviation);
      expect(Math.abs(variance * precision - 1)).toBeLessThan(4 * Math.sqrt(2 / count) + 0.04);
    }
  });
});
