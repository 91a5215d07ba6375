// The likelihood of test images by the variance of the reverse process, in bits per dimension.
//
//   scripts/setup --data && node bench/quality/likelihood.mjs --help
import { DiffusionModel, estimateLikelihood } from '../../dist/index.js';
import { progressBar } from '../../dist/cli/output.js';
import { dataSetNames, imagesOf } from './idx.mjs';
import { command, defaults, integer, list, parseOptions } from './options.mjs';

const usage = `node bench/quality/likelihood.mjs [options]

Prints a table of bounds (mean +- standard error).

  --model FOLDER default models/mnist
  --data NAME    of ${dataSetNames.join(', ')}; default mnist
  --images N     test images; default 256
  --steps LIST   numbers of network evaluations; default 10,25,50,100
  --device NAME  default cpu`;

const rows = [
  { label: 'DDPM, beta-tilde', sampler: 'ddpm', variance: 'beta-tilde' },
  { label: 'DDPM, beta', sampler: 'ddpm', variance: 'beta' },
  { label: 'Analytic-DDPM', sampler: 'analytic-ddpm' },
  { label: 'Analytic-DDPM, optimal trajectory', sampler: 'analytic-ddpm', trajectory: 'optimal' },
  { label: 'NPR-DDPM', sampler: 'npr-ddpm' },
  { label: 'SN-DDPM', sampler: 'sn-ddpm' },
];

const cell = ({ bits, standardError }) => `${bits.toFixed(2)} ± ${standardError.toFixed(2)}`;

await command(async () => {
  const options = parseOptions(usage, {
    model: { type: 'string', default: defaults.model },
    data: { type: 'string', default: 'mnist' },
    images: { type: 'string', default: '256' },
    steps: { type: 'string', default: '10,25,50,100' },
    device: { type: 'string', default: 'cpu' },
  });
  const { levels } = imagesOf(options.data, 't10k', integer('images', options.images));
  const images = Float32Array.from(levels, (level) => level / 127.5 - 1);
  const steps = list(options.steps).map((each) => integer('steps', each));
  const model = await DiffusionModel.load(options.model, { device: options.device });
  try {
    console.log(`| K | ${steps.join(' | ')} |\n| --- |${' --: |'.repeat(steps.length)}`);
    for (const { label, ...row } of rows) {
      const cells = [];
      for (const each of steps) {
        const progress = progressBar(`${label}, K = ${each}`, false);
        const run = { ...row, steps: each, onProgress: progress.update };
        cells.push(cell((await estimateLikelihood(model, images, run).finally(progress.stop)).total));
      }
      console.log(`| ${label} | ${cells.join(' | ')} |`);
    }
  } finally {
    await model.close();
  }
});
