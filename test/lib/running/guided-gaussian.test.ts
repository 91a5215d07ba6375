// Guides in closed form: a Gaussian that is observed with Gaussian noise. What a perfect network and the exact gradient of the observation's
// density at every noise level give has to be the product of both.
import { describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { guidedProgram, type GuideForm } from '../../../lib/program/guided.js';
import type { StepProgram } from '../../../lib/program/program.js';
import { nativeRequest } from '../../../lib/running/run-request.js';
import { samplers } from '../../../lib/samplers/index.js';
import { amplitudesOfNetworkTime } from '../../../lib/schedule/network-level.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';

const count = 4000;
const means = [0.5, -1, 0];
const deviations = [0.4, 1, 0.1];
const observed = [1, 0.3, 0.2];
const observationNoise = [0.3, 0.5, 2];
const dimensions = means.length;
const schedule = NoiseSchedule.linear({ steps: 1000 });
const amplitudesAt = (time: number) => amplitudesOfNetworkTime(schedule, time);

/** The exact noise prediction of the data, and the gradient of ln p(observed | x). */
function exact(x: Float32Array, time: number): { noise: Float32Array; gradient: Float32Array } {
  const { alpha, sigma } = amplitudesAt(time);
  const [noise, gradient] = [new Float32Array(x.length), new Float32Array(x.length)];
  x.forEach((value, i) => {
    const d = i % dimensions;
    const [mean, variance] = [means[d]!, deviations[d]! ** 2];
    const total = alpha ** 2 * variance + sigma ** 2;
    const gain = (alpha * variance) / total;
    const away = value - alpha * mean;
    noise[i] = (sigma * away) / total;
    const left = (variance * sigma ** 2) / total + observationNoise[d]! ** 2;
    gradient[i] = (gain * (observed[d]! - mean - gain * away)) / left;
  });
  return { noise, gradient };
}

async function samplesOf(program: StepProgram, form: GuideForm): Promise<Float32Array> {
  await using device = Device.open({ device: 'cpu' });
  const guided = guidedProgram(program, form, (time) => -amplitudesAt(time).sigma);
  const inputs = {
    count,
    firstSample: 0,
    seed: 5,
    labels: null,
    guidance: null,
    init: null,
    noise: null,
    batch: count,
  };
  const run = await device.engine.scriptRun(nativeRequest([guided], inputs, dimensions), dimensions, false);
  for (;;) {
    const question = await run.ask();
    if (question === null) break;
    const { noise, gradient } = exact(question.x, question.times[0]!);
    await run.answer(noise, null, gradient);
  }
  const states = await run.states();
  run.free();
  return states;
}

const cases: [string, StepProgram, GuideForm][] = [
  ['ddpm by its mean', samplers.ddpm(schedule, { steps: 1000, variance: 'beta-tilde' }), 'mean'],
  ['ddpm by the score', samplers.ddpm(schedule, { steps: 1000, variance: 'beta-tilde' }), 'score'],
  ['ddim', samplers.ddim(schedule, { steps: 500 }), 'score'],
  ['dpm-solver++-2m', samplers['dpm-solver++-2m'](schedule, { steps: 240 }), 'score'],
  ['unipc', samplers.unipc(schedule, { steps: 240 }), 'score'],
];

describe('a guided Gaussian', () => {
  it.each(cases)('of %s is the product of both densities', async (_, program, form) => {
    const states = await samplesOf(program, form);
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
