import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { integerFrom } from '../../base/option-kinds.js';
import { meanLosses, metricsName, readLosses, type RecordedLoss } from '../../training/metrics.js';
import { specOf, type Command } from '../command.js';
import type { Chart } from './chart.js';
import { chartTarget, targetPath, writeChart } from './write.js';

/** Losses of a run of training, and its name. */
export interface RunLosses {
  label: string;
  losses: readonly RecordedLoss[];
}

/** Number of points that the longest line has by default. */
const POINTS = 200;

const windowFact = {
  kind: integerFrom(1),
  help: 'steps a point is the mean of',
  otherwise: `so many that the longest run has at most ${POINTS} points`,
  value: 'N',
};

/** Draws losses against steps, one line per run, as means over `window` steps. */
export function lossChart(runs: readonly RunLosses[], window?: number): Chart {
  const longest = Math.max(1, ...runs.map(({ losses }) => losses.length));
  const steps = window ?? Math.ceil(longest / POINTS);
  return {
    title: steps === 1 ? 'Training loss' : `Training loss, means of ${steps} steps`,
    x: { label: 'step', scale: 'linear' },
    y: { label: 'loss', scale: 'log' },
    series: runs.map(({ label, losses }) => ({ label, points: meanLosses(losses, steps) })),
  };
}

/** Finds the metrics of a run: in its folder, or the file itself. */
async function metricsPath(run: string): Promise<string> {
  const found = await stat(run).catch(() => undefined);
  return found?.isFile() === true ? run : join(run, metricsName);
}

/** Names a run by the last part of its path that tells it from the others. */
function labelsOf(runs: readonly string[]): string[] {
  const folders = runs.map((run) => (basename(run) === metricsName ? dirname(resolve(run)) : resolve(run)));
  const names = folders.map((folder) => basename(folder));
  return names.map((name, i) => (names.indexOf(name) === names.lastIndexOf(name) ? name : (runs[i] ?? name)));
}

export const plotLossCommand: Command = {
  name: 'plot loss',
  summary: `Losses of runs of training by step, from their ${metricsName}.`,
  arguments: ['RUN', '[RUN…]'],
  options: { ...chartTarget, window: specOf(windowFact) },
  async run(call) {
    const path = await targetPath(call, 'loss', '.svg');
    const window = call.options.integer('window', windowFact);
    const labels = labelsOf(call.positionals);
    const runs: RunLosses[] = [];
    for (const [i, run] of call.positionals.entries()) {
      runs.push({ label: labels[i] ?? run, losses: await readLosses(await metricsPath(run)) });
    }
    await writeChart(call, path, lossChart(runs, window));
  },
};
