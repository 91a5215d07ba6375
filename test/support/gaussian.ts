import type { StepProgram } from '../../lib/program/program.js';
import type { Prediction } from '../../lib/schedule/defaults.js';
import type { NoiseSchedule } from '../../lib/schedule/noise-schedule.js';

/** Computes the output of a perfect network per unit of state for data N(0, c): its output is this number times x. */
export function exactSlope(schedule: NoiseSchedule, n: number, c: number, prediction: Prediction = 'epsilon'): number {
  const [a, b] = [schedule.alphaBar(n), schedule.betaBar(n)];
  const noise = Math.sqrt(b) / (a * c + b);
  const data = (Math.sqrt(a) * c) / (a * c + b);
  switch (prediction) {
    case 'epsilon':
      return noise;
    case 'x0':
      return data;
    case 'v':
      return Math.sqrt(a) * noise - Math.sqrt(b) * data;
    default:
      return -noise / Math.sqrt(b);
  }
}

/** m_n = B / (A c + B) for n = 0..N. */
export function moments(schedule: NoiseSchedule, c: number): Float64Array {
  return Float64Array.from({ length: schedule.steps + 1 }, (_, n) => {
    const b = schedule.betaBar(n);
    return b / (schedule.alphaBar(n) * c + b);
  });
}

/** Time n of a network time of the schedules used here (vp999 or index). */
function timeOf(schedule: NoiseSchedule, networkTime: number): number {
  const scale = schedule.networkTime(schedule.steps) - schedule.networkTime(1);
  return Math.round(1 + ((networkTime - schedule.networkTime(1)) / scale) * (schedule.steps - 1));
}

/**
 * Variance of the samples a one-register program draws from N(0, c) with a perfect network, started from N(0, 1): each record
 * multiplies the state by a number and adds noise of a known variance.
 */
export function generatedVariance(
  schedule: NoiseSchedule,
  program: StepProgram,
  c: number,
  prediction?: Prediction,
): number {
  return program.records.reduce((variance, record) => {
    const slope = exactSlope(schedule, timeOf(schedule, record.time), c, prediction);
    const data = record.prediction.input + record.prediction.output * slope;
    const { x, out, history } = record.x ?? { x: 1, out: 0, history: [] };
    const factor = x + out * slope + (history[0] ?? 0) * record.store.data * data;
    const noise = record.variance.kind === 'scalar' ? record.variance.deviation ** 2 : 0;
    return factor ** 2 * variance + noise;
  }, program.initialScale ** 2);
}
