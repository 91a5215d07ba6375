// The last table of the talk on NPR-DPM and SN-DPM, for the models that come with the package: three seeds of each cell.
//
//   node bench/quality/talk.mjs --help
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { readJson, writeFormatted } from './files.mjs';
import { command, integer, list, parseOptions } from './options.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const models = {
  mnist: { title: 'Digits', features: 'mnist-lenet' },
  'fashion-mnist': { title: 'Fashion', features: 'fashion-lenet' },
};
const rows = ['euler-maruyama', 'ancestral', 'probability-flow', 'analytic-ddpm', 'npr-ddpm', 'sn-ddpm'];
const steps = [10, 25, 50, 100, 200];

const usage = `node bench/quality/talk.mjs [options]

Computes the cells that are missing, into talk/MODEL-SEED.json, and writes talk/TABLE.md of those that are there.

  --models LIST  of ${Object.keys(models).join(', ')}; default all
  --seeds LIST   default 1,2,3
  --samples N    images a cell; default 2000
  --report       computes nothing`;

const fileOf = (model, seed) => join(here, 'talk', `${model}-${seed}.json`);

/** Runs table.mjs for one model and seed; tells whether it may go on with the next. */
function compute(model, seed, samples) {
  const { features } = models[model];
  const given = {
    model: join(here, '../../models', model),
    'features-model': join(here, features),
    reference: join(here, 'talk', `${model}-reference.json`),
    results: fileOf(model, seed),
    rows: rows.join(),
    steps: steps.join(),
    samples,
    seed,
    batch: 100,
  };
  const args = Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { status } = spawnSync(process.execPath, [join(here, 'table.mjs'), ...args], { stdio: 'inherit' });
  if (status === 130) process.exit(130);
  return status === 0;
}

/** Mean and standard deviation of the seeds' distances; one seed has no deviation. */
function textOf(values) {
  if (values.length === 0) return '';
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length === 1) return mean.toPrecision(3);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / (values.length - 1));
  return `${mean >= 1000 ? mean.toFixed(0) : mean.toPrecision(3)} ± ${deviation.toPrecision(2)}`;
}

function tableOf(files) {
  const cells = files.flatMap((file) => file.cells);
  const line = (row) => {
    const own = cells.filter((cell) => cell.row === row);
    const values = steps.map((each) => own.filter((cell) => cell.steps === each).map((cell) => cell.frechet));
    return [own[0]?.label ?? row, ...values.map(textOf)];
  };
  const header = ['K', ...steps];
  return [header, header.map((_, i) => (i === 0 ? '---' : '--:')), ...rows.map(line)]
    .map((each) => `| ${each.join(' | ')} |`)
    .join('\n');
}

async function sectionOf(model, seeds) {
  const paths = seeds.map((seed) => fileOf(model, seed)).filter((path) => existsSync(path));
  if (paths.length === 0) return null;
  const files = await Promise.all(paths.map((path) => readJson(path, '')));
  const [{ features, reference, floors, floorCount, samples, machine, date }] = files;
  const minutes = files.flatMap((file) => file.cells).reduce((sum, cell) => sum + cell.seconds, 0) / 60;
  return `## ${models[model].title}

The model \`${model}\`, ${samples} samples of each of the seeds ${files.map((file) => file.seed).join(', ')} against ${reference},
on the features of ${features}: mean and standard deviation over the seeds. Sets of ${floorCount} training images are between
${Math.min(...floors)} and ${Math.max(...floors)} from them.

${tableOf(files)}

${Math.round(minutes)} minutes of drawing on ${machine}; ${date}.
`;
}

await command(async () => {
  const options = parseOptions(usage, {
    models: { type: 'string', default: Object.keys(models).join() },
    seeds: { type: 'string', default: '1,2,3' },
    samples: { type: 'string', default: '2000' },
    report: { type: 'boolean' },
  });
  const chosen = list(options.models);
  const unknown = chosen.find((name) => !(name in models));
  if (unknown !== undefined) throw new Error(`--models: '${unknown}' is none of ${Object.keys(models).join(', ')}`);
  const seeds = list(options.seeds).map((seed) => integer('seeds', seed, 0));
  const samples = integer('samples', options.samples, 2);
  if (!options.report) {
    for (const seed of seeds) {
      for (const model of chosen) if (!compute(model, seed, samples)) process.exitCode = 1;
    }
  }
  const sections = [];
  for (const model of Object.keys(models)) sections.push(await sectionOf(model, seeds));
  const page = join(here, 'talk', 'TABLE.md');
  await writeFormatted(
    page,
    `# The talk's table\n\nWritten by \`node bench/quality/talk.mjs\`. Frechet distances, lower is better; never compare them with published FIDs.\n\n${sections.filter((each) => each !== null).join('\n')}`,
  );
  console.log(`-> ${relative('.', page)}`);
});
