// Orders the library's samplers on data with a known score; writes results.json and TABLE.md.
//
//   node bench/block-gsm/run.mjs --help
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { progressBar } from '../../dist/cli/output.js';
import { Device } from '../../dist/index.js';
import { digits, writeFormatted, writeJson } from '../quality/files.mjs';
import { command, integer, list, parseOptions } from '../quality/options.mjs';
import { BlockProblem } from './cells.mjs';
import { checkOrderings } from './orderings.mjs';
import { page } from './page.mjs';
import { rows } from './rows.mjs';

const usage = `node bench/block-gsm/run.mjs [options]

  --steps 10,25   numbers of steps; default 10,25,50,100,200
  --samples N     blocks a cell and seed; default 8000
  --seeds N       seeds that are averaged; default 3
  --s2min X       smallest variance of a scale; default 1e-4
  --rows a,b      rows of rows.mjs; default all
  --threads N     threads of the updates; default all cores
  --json FILE     default bench/block-gsm/results.json; TABLE.md is written beside it

Exit code 1 when a cell failed or an ordering does not hold.`;

function positive(name, text) {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new Error(`--${name} is '${text}', it has to be a positive number`);
  return value;
}

function chosenRows(ids) {
  const unknown = ids?.find((id) => !rows.some((row) => row.id === id));
  if (unknown !== undefined) {
    throw new Error(`--rows: '${unknown}' is not a row; rows: ${rows.map((row) => row.id).join(', ')}`);
  }
  return rows.filter((row) => ids === undefined || ids.includes(row.id));
}

function runOptions() {
  const options = parseOptions(usage, {
    steps: { type: 'string', default: '10,25,50,100,200' },
    samples: { type: 'string', default: '8000' },
    seeds: { type: 'string', default: '3' },
    s2min: { type: 'string', default: '1e-4' },
    rows: { type: 'string' },
    threads: { type: 'string' },
    json: { type: 'string', default: fileURLToPath(new URL('results.json', import.meta.url)) },
  });
  return {
    steps: list(options.steps).map((each) => integer('steps', each)),
    samples: integer('samples', options.samples, 2),
    seeds: integer('seeds', options.seeds),
    s2min: positive('s2min', options.s2min),
    rows: chosenRows(list(options.rows)),
    threads: integer('threads', options.threads),
    json: options.json,
  };
}

/** Computes the mean over seeds, and the value of each seed. */
async function computeCell(problem, row, steps, { samples, seeds }) {
  const values = [];
  for (let seed = 0; seed < seeds; ++seed) values.push(await problem.distance(row, steps, samples, seed));
  const mean = values.reduce((sum, value) => sum + value, 0) / seeds;
  return {
    row: row.id,
    label: row.label,
    sampler: row.sampler,
    options: row.options,
    steps,
    frechet: digits(mean),
    values: values.map((value) => digits(value)),
  };
}

/** Computes all cells. A cell that fails is reported, and the others go on. */
async function computeCells(problem, options) {
  const [cells, failures] = [[], []];
  const progress = progressBar('block-gsm', false);
  const total = options.rows.length * options.steps.length;
  for (const steps of options.steps.toSorted((a, b) => a - b)) {
    for (const row of options.rows) {
      const name = `${row.label}, K = ${steps}`;
      try {
        const cell = await computeCell(problem, row, steps, options);
        cells.push(cell);
        if (!process.stderr.isTTY) console.log(`${name}: ${cell.frechet}`);
      } catch (error) {
        failures.push(`${name}: ${error.message}`);
      }
      progress.update(cells.length + failures.length, total);
    }
  }
  progress.stop();
  return { cells, failures };
}

function reportOrderings(orderings) {
  for (const { text, holds } of orderings) {
    console.log(`${text}: ${holds === null ? 'not computed' : holds ? 'holds' : 'DOES NOT HOLD'}`);
  }
}

await command(async () => {
  const options = runOptions();
  const device = Device.open({ device: 'cpu', threads: options.threads });
  try {
    const problem = new BlockProblem(options.s2min, device);
    const { cells, failures } = await computeCells(problem, options);
    const { s2min, samples, seeds } = options;
    const date = new Date().toISOString().slice(0, 10);
    const results = { s2min, samples, seeds, floor: digits(problem.floor(samples)), date, cells };
    const distance = (row, steps) => cells.find((cell) => cell.row === row && cell.steps === steps)?.frechet;
    const orderings = checkOrderings(distance, (id) => rows.find((row) => row.id === id).label);
    await writeJson(options.json, results);
    const table = join(dirname(options.json), 'TABLE.md');
    await writeFormatted(table, page(results, orderings));
    console.log(`${cells.length} cells -> ${relative('.', options.json)}, ${relative('.', table)}`);
    reportOrderings(orderings);
    for (const failure of failures) console.error(`failed: ${failure}`);
    const failed = failures.length + orderings.filter(({ holds }) => holds === false).length;
    console.log(`${orderings.filter(({ holds }) => holds).length} passed, ${failed} failed`);
    if (failed > 0) process.exitCode = 1;
  } finally {
    await device.close();
  }
});
