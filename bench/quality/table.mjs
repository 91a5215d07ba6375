// Scores samples of the bundled model: a table of samplers by number of steps.
//
//   node bench/quality/table.mjs --help
import { basename, relative } from 'node:path';

import { progressBar } from '../../dist/cli/output.js';
import { DiffusionModel } from '../../dist/index.js';
import { computeCell } from './cell.mjs';
import { openFeatures } from './features.mjs';
import { command, defaults, featureOptions, featureUsage, integer, list, parseOptions } from './options.mjs';
import { readReference } from './reference-file.mjs';
import { machine, Results } from './results.mjs';
import { cellsOf } from './rows.mjs';

const usage = `node bench/quality/table.mjs [options]

Computes the cells of the table that are missing and keeps each one when it is done: what was interrupted goes on when
called again. A row that fails is reported and leaves the others alone.

  --rows a,b             rows of rows.mjs; default all
  --steps 5,10           numbers of steps; default each row's own
  --samples N            images a cell; default 1000
  --seed INT             default 0
  --results FILE         default bench/quality/results.json
  --model FOLDER         default models/mnist
  --device NAME, --threads N, --batch N   where and how it runs; batch 50 by default
${featureUsage}`;

function tableOptions() {
  const options = parseOptions(usage, {
    model: { type: 'string', default: defaults.model },
    samples: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '0' },
    rows: { type: 'string' },
    steps: { type: 'string' },
    results: { type: 'string', default: defaults.results },
    device: { type: 'string' },
    threads: { type: 'string' },
    batch: { type: 'string', default: '50' },
    ...featureOptions,
  });
  return {
    ...options,
    samples: integer('samples', options.samples, 2),
    seed: integer('seed', options.seed, 0),
    threads: integer('threads', options.threads),
    batch: integer('batch', options.batch),
    cells: cellsOf(
      list(options.rows),
      list(options.steps)?.map((each) => integer('steps', each)),
    ),
  };
}

/** Aborts on the first interrupt; the second one ends the process. */
function interruptSignal() {
  const controller = new AbortController();
  process.on('SIGINT', () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  });
  return controller.signal;
}

function report(cell) {
  const evaluations = cell.evaluations === null ? '' : `, ${cell.evaluations} evaluations`;
  console.log(`${cell.label}, K = ${cell.steps}: ${cell.frechet}${evaluations}, ${cell.seconds} s`);
}

/** Computes cells one after the other; returns the messages of those that failed. */
async function compute(cells, results, signal, one) {
  const failures = [];
  for (const [index, cell] of cells.entries()) {
    if (signal.aborted) break;
    const name = `${cell.row.label}, K = ${cell.steps}`;
    const progress = progressBar(`${index + 1}/${cells.length} ${name}`, false);
    try {
      const found = await one(cell, progress.update).finally(progress.stop);
      await results.add(found);
      report(found);
    } catch (error) {
      if (signal.aborted) break;
      failures.push(`${name}: ${error.message}`);
      console.error(`failed: ${failures.at(-1)}`);
    }
  }
  return failures;
}

function finish(failures, left, signal, path) {
  if (failures.length > 0) {
    console.error(`${failures.length} cells failed:\n${failures.map((line) => `  ${line}`).join('\n')}`);
    process.exitCode = 1;
  }
  if (signal.aborted) {
    console.error(`interrupted; ${left} cells are missing in ${path}, the same command goes on`);
    process.exitCode = 130;
  }
}

async function openAll(options) {
  const features = await openFeatures(options.features, { model: options['features-model'] });
  const reference = await readReference(options.reference, features.name);
  const model = await DiffusionModel.load(options.model, { device: options.device, threads: options.threads });
  const head = {
    model: basename(options.model),
    features: features.name,
    reference: `${reference.count} ${reference.data}`,
    floor: reference.floor,
    floors: reference.floors,
    floorCount: reference.floorCount,
    samples: options.samples,
    seed: options.seed,
    machine: machine(model.device),
  };
  return { features, reference, model, head };
}

await command(async () => {
  const options = tableOptions();
  const { features, reference, model, head } = await openAll(options);
  try {
    const results = await Results.open(options.results, head);
    const path = relative('.', options.results);
    const missing = options.cells.filter((cell) => !results.has(cell));
    console.log(`${missing.length} of ${options.cells.length} cells to compute -> ${path}`);
    const signal = interruptSignal();
    const failures = await compute(missing, results, signal, (cell, onProgress) =>
      computeCell(model, features, reference, cell, { ...options, signal, onProgress }),
    );
    finish(failures, missing.filter((cell) => !results.has(cell)).length, signal, path);
  } finally {
    await model.close();
    await features.close();
  }
});
