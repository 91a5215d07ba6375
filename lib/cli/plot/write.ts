import type { Call, OptionSpecs } from '../command.js';
import { printJson, printLine } from '../output.js';
import { outOf, outSpec } from '../default-target.js';
import { checkTarget, standardOutput, writeTarget } from '../target.js';
import { lineChart, type Chart } from './chart.js';

/** The option `--out` of plots that are charts. */
export const chartTarget: OptionSpecs = {
  out: outSpec('receives the chart, or - for the standard output', 'KIND', '.svg', 'FILE.svg'),
};

/** The value of `--out`, or a path of its own for a plot of that kind, checked before the work. */
export async function targetPath({ options, json }: Call, kind: string, ending: '.svg' | '.png'): Promise<string> {
  const path = await outOf(options, kind, ending);
  await checkTarget(path, { flag: '--out', endings: [ending], toStandardOutput: true, json });
  return path;
}

/** Writes a plot and prints its path. */
export async function writePlot({ json }: Call, path: string, content: string | Uint8Array): Promise<void> {
  await writeTarget(path, content);
  if (path === standardOutput) return;
  if (json) printJson({ out: path });
  else printLine(path);
}

export async function writeChart(call: Call, path: string, chart: Chart): Promise<void> {
  await writePlot(call, path, lineChart(chart));
}
