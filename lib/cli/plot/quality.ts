import { DpmError } from '../../base/errors.js';
import { ConfigReader, isJsonObject } from '../../files/config-reader.js';
import { readJson } from '../../files/files.js';
import type { Command } from '../command.js';
import type { Chart } from './chart.js';
import type { Series } from './drawn.js';
import { chartTarget, targetPath, writeChart } from './write.js';

/** What kind of sampler each is, by the beginning of its name. */
const families = [
  ['analytic-', 'optimal variance'],
  [/^(npr|sn|ocm)-/, 'variance of a head'],
  [/^(ddpm|ancestral|full-ddpm)$/, 'fixed variance'],
  [/^(euler-maruyama|reverse-diffusion|predictor-corrector)$/, 'reverse SDE'],
  [/^(ddim|probability-flow)$/, 'without noise'],
  [/./, 'solver'],
] as const;

function familyOf(sampler: string): string | undefined {
  return families.find(([name]) => (typeof name === 'string' ? sampler.startsWith(name) : name.test(sampler)))?.[1];
}

/** Measured distances of one row of a table of samplers. */
export interface QualityRow {
  label: string;
  /** What kind of sampler it is; undefined for one that is not known. */
  family: string | undefined;
  /** Points by rising number of steps. */
  points: [steps: number, frechet: number][];
}

export interface QualityResults {
  /** The distance that real images have from others. */
  floor: number;
  /** Rows in the order of the file. */
  rows: QualityRow[];
}

const mostCells = 10_000;

/**
 * The results of `bench/quality` from parsed JSON.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming `source` and the field.
 */
export function parseQualityResults(json: unknown, source: string): QualityResults {
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${source}: results are a JSON object`);
  const config = new ConfigReader(json, source);
  const cells = config.raw('cells');
  if (!Array.isArray(cells) || cells.length === 0 || cells.length > mostCells) {
    throw config.error('cells', `an array of 1 to ${mostCells} cells`);
  }
  const rows = new Map<string, QualityRow>();
  cells.forEach((raw: unknown, i) => {
    const where = `${source}: cells[${i}]`;
    if (!isJsonObject(raw)) throw new DpmError('ERR_DPM_CONFIG', `${where} has to be an object`);
    const cell = new ConfigReader(raw, where);
    const id = cell.string('row');
    const row = rows.get(id) ?? {
      label: cell.string('label').slice(0, 60),
      family: familyOf(cell.string('sampler')),
      points: [],
    };
    const frechet = cell.number('frechet');
    if (frechet < 0) throw cell.error('frechet', 'a number not below 0');
    row.points.push([cell.integer('steps', undefined, { least: 1, most: 1_000_000 }), frechet]);
    rows.set(id, row);
  });
  for (const { points } of rows.values()) points.sort(([a], [b]) => a - b);
  return { floor: config.number('floor'), rows: [...rows.values()] };
}

/** Draws distance against steps, one line per row, and the floor. */
export function qualityChart({ floor, rows }: QualityResults): Chart {
  const steps = [...new Set(rows.flatMap(({ points }) => points.map(([each]) => each)))].sort((a, b) => a - b);
  const ends = steps.length === 1 ? [(steps[0] ?? 1) / 2, (steps[0] ?? 1) * 2] : [steps[0] ?? 1, steps.at(-1) ?? 1];
  const lines = rows.map(({ label, family, points }): Series => ({
    label,
    points,
    markers: true,
    ...(family !== undefined && { family }),
  }));
  const ground: Series = {
    label: 'floor: real images',
    points: ends.map((each) => [each, floor]),
    dashed: true,
    reference: true,
  };
  return {
    title: 'Distance of samples from real images',
    x: { label: 'network evaluations K', scale: 'log', ticks: steps },
    y: { label: 'Frechet distance', scale: 'log' },
    series: [...lines, ground],
  };
}

export const plotQualityCommand: Command = {
  name: 'plot quality',
  summary: 'Frechet distances by number of steps, from the results of bench/quality.',
  arguments: ['RESULTS.json'],
  options: chartTarget,
  async run(call) {
    const path = await targetPath(call, 'quality', '.svg');
    const source = call.positionals[0] ?? '';
    await writeChart(call, path, qualityChart(parseQualityResults(await readJson(source), source)));
  },
};
