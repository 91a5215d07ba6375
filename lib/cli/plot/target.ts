import { extname } from 'node:path';

import { writeAtomically } from '../../files/files.js';
import { usageError, type Call, type OptionSpecs } from '../command.js';
import { printJson, printLine } from '../output.js';
import { lineChart, type Chart } from './chart.js';

/** The option `--out` of plots that are charts. */
export const chartTarget: OptionSpecs = { out: { value: 'FILE.svg', help: 'receives the chart' } };

/** The value of `--out`, checked before the work. */
export function targetPath({ options }: Call, extension: '.svg' | '.png'): string {
  const path = options.required('out');
  if (extname(path) !== extension) throw usageError(`--out ${path} has to be a ${extension} file`);
  return path;
}

/** Writes a plot and says where it is. */
export async function writePlot({ json }: Call, path: string, content: string | Uint8Array): Promise<void> {
  await writeAtomically(path, [content]);
  if (json) printJson({ out: path });
  else printLine(path);
}

export async function writeChart(call: Call, path: string, chart: Chart): Promise<void> {
  await writePlot(call, path, lineChart(chart));
}
