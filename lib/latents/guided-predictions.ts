import { untilAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { Guide } from '../guidance/guide.js';
import type { Program } from '../program/program.js';
import { requireFinite } from '../run/finite.js';
import { sumOfGuides } from '../run/guided-run.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { guidedOutputShift } from '../schedule/prediction.js';
import type { PromptedEvaluate } from './prompted-network.js';

/** Rows of a batch whose samples follow each other in their call. */
interface Neighbours {
  readonly firstRow: number;
  readonly rows: number;
  readonly firstSample: number;
}

function neighboursOf(samples: readonly number[]): Neighbours[] {
  const found: Neighbours[] = [];
  for (const [row, sample] of samples.entries()) {
    const last = found.at(-1);
    if (last !== undefined && sample === last.firstSample + last.rows) {
      found.splice(-1, 1, { ...last, rows: last.rows + 1 });
    } else found.push({ firstRow: row, rows: 1, firstSample: sample });
  }
  return found;
}

/**
 * Adds gradients of ln p to the score that a prediction gives, whatever the network predicts (Dhariwal & Nichol 2021, algorithm
 * 2: eps - sigma g).
 *
 * @param evaluate - Predicts from states, which labels name the samples of.
 * @param guides - Functions of states [rows, C, h, w], their network times, and the index of the first one's sample.
 * @param program - Program of the run.
 * @returns A function that rejects with `ERR_DPM_ARGUMENT` if a guide returns anything but as many finite numbers.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a program that scales the states.
 */
export function withGuides(
  evaluate: PromptedEvaluate,
  guides: readonly Guide[],
  { schedule, program, signal }: { schedule: NoiseSchedule; program: Program; signal: AbortSignal | undefined },
): PromptedEvaluate {
  if (guides.length === 0) return evaluate;
  const steps = program.kind === 'step' ? program : { records: [], prediction: undefined };
  // A gradient at a scaled state would be another one.
  if (steps.records.some(({ inputScale }) => inputScale !== 1)) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      'guides do not go with samplers that scale the states that a network sees',
    );
  }
  const ask = (asked: () => unknown): Promise<unknown> => untilAborted(signal, () => Promise.resolve(asked()));
  return async (x, times, labels) => {
    const predicted = await evaluate(x, times, labels);
    const elements = x.length / times.length;
    for (const { firstRow, rows, firstSample } of neighboursOf(Array.from(labels))) {
      const part = (values: Float32Array, size: number): Float32Array =>
        values.subarray(firstRow * size, (firstRow + rows) * size);
      const [out, own] = [part(predicted.out, elements), part(times, 1)];
      const gradient = await sumOfGuides(guides, [part(x, elements), own, firstSample], ask);
      const shifts = own.map((time) => guidedOutputShift(schedule, time, steps.prediction));
      for (const [i, value] of gradient.entries()) out[i] = at(out, i) + at(shifts, Math.floor(i / elements)) * value;
    }
    requireFinite('the predictions with all guides', predicted.out);
    return predicted;
  };
}
