// Lists the kernels of one evaluation with their durations, by Nsight Systems or, if only that is installed, Nsight Compute.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { follow } from './follow.mjs';
import { packagePath } from './settings.mjs';

const evaluation = (network, batch) => [process.execPath, packagePath('bench/gpu/one-evaluation.mjs'), network, batch];
/** Variables that switch graphs off, as some versions of the profilers do not see the kernels of graphs. */
const environment = { DPM_CUDA_GRAPHS: 'off' };

/** Returns all lines that a program writes. Throws when it fails. */
async function outputOf(command, parameters) {
  const lines = [];
  const { status, why } = await follow(command, parameters, { environment, onLine: (line) => lines.push(line) });
  if (status !== 0) throw new Error(`${command}: ${why}: ${lines.slice(-3).join(' ').slice(0, 500)}`);
  return lines;
}

async function withNsys(command) {
  const folder = mkdtempSync(join(tmpdir(), 'dpm-nsys-'));
  const report = join(folder, 'report.nsys-rep');
  try {
    await outputOf('nsys', [
      'profile',
      '--trace=cuda',
      '--sample=none',
      '--cpuctxsw=none',
      `--output=${report}`,
      ...command,
    ]);
    const lines = await outputOf('nsys', ['stats', '--report=cuda_gpu_trace', '--format=json', '--quiet', report]);
    const text = lines.join('\n');
    const trace = JSON.parse(text.slice(text.indexOf('['), text.lastIndexOf(']') + 1));
    return trace.map((each) => ({ kernel: each.Name, microseconds: each['Duration (ns)'] / 1000 }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The cells of a line of CSV whose cells are all quoted. */
const cells = (line) => [...line.matchAll(/"((?:[^"]|"")*)"/g)].map(([, cell]) => cell.replaceAll('""', '"'));
const perUnit = { ns: 1e-3, nsecond: 1e-3, us: 1, usecond: 1, ms: 1e3, msecond: 1e3 };

export function parseNcu(lines) {
  const rows = lines.filter((line) => line.startsWith('"')).map(cells);
  const [header = []] = rows;
  const [name, unit, value] = ['Kernel Name', 'Metric Unit', 'Metric Value'].map((each) => header.indexOf(each));
  return rows.slice(1).map((row) => ({
    kernel: row[name],
    microseconds: Number(row[value].replaceAll(',', '')) * perUnit[row[unit]],
  }));
}

async function withNcu(command) {
  // The profiler must not change the clocks of the card.
  const parameters = ['--csv', '--metrics=gpu__time_duration.sum', '--clock-control=none'];
  return parseNcu(await outputOf('ncu', [...parameters, ...command]));
}

const profilers = { nsys: withNsys, ncu: withNcu };

/** The first of the profilers that can be started, or null. */
export const profilerThere = () =>
  Object.keys(profilers).find((name) => spawnSync(name, ['--version'], { timeout: 20_000 }).status === 0) ?? null;

/** The rows in the order of launches, or one row with the reason why there are none. */
export async function kernelsOfEvaluation(tool, network, batch) {
  try {
    const kernels = await profilers[tool](evaluation(network, String(batch)));
    if (kernels.length > 0) return kernels.map((kernel) => ({ tool, ...kernel }));
    return [{ tool, reason: 'it saw no kernels' }];
  } catch (error) {
    return [{ tool, reason: error.message }];
  }
}
