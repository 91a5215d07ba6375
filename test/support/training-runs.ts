// Runs of training to their end, and what they leave.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Trainer, type StepMetrics, type TrainerOptions } from '../../lib/index.js';
import { tinyRun } from './training-data.js';

/** Runs to the end, and gives the weights or their average. */
export async function trained(
  changed: Partial<TrainerOptions> = {},
  which: 'parameters' | 'average' = 'parameters',
): Promise<Map<string, Float32Array>> {
  await using trainer = await Trainer.open(tinyRun(changed));
  await trainer.run();
  return await trainer.tensors(which);
}

/** Lines of a run's metrics. */
export async function linesOf(run: string): Promise<StepMetrics[]> {
  const text = await readFile(join(run, 'metrics.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as StepMetrics);
}

/** What a line says but for its times. */
export const withoutTimes = ({ seconds: _, imagesPerSecond: __, ...others }: StepMetrics): object => others;
