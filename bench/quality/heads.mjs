// How well variance heads know what they have learned: their mean squared error on test images, beside that of a head which
// always says the mean of each noise level.
//
//   scripts/setup --data && node bench/quality/heads.mjs --help
import { elementCount } from '../../dist/base/arrays.js';
import { DiffusionModel } from '../../dist/index.js';
import { progressBar } from '../../dist/cli/output.js';
import { normals, sampleStreams } from '../../dist/engine/normals.js';
import { dataSetNames, imagesOf } from './idx.mjs';
import { command, defaults, integer, list, parseOptions } from './options.mjs';

const usage = `node bench/quality/heads.mjs [options]

Prints a table: for each model and head the mean of (head - target)^2 over images, pixels and noise levels. The target of npr is
(noise - prediction)^2, that of sn noise^2.

  --models LIST  folders; default models/mnist
  --heads LIST   of npr, sn; default all
  --data NAME    of ${dataSetNames.join(', ')}; default mnist
  --images N     test images, the same for all; default 512
  --levels N     noise levels, evenly spaced; default 20
  --device NAME  default cpu`;

const targets = {
  npr: (noise, prediction) => (noise - prediction) ** 2,
  sn: (noise) => noise ** 2,
};

/** Sums of a level: of the error, of the target and of its square. */
function addUp(sums, { noise, out, head, target }) {
  for (let i = 0; i < noise.length; ++i) {
    const wanted = target(noise[i], out[i]);
    sums.error += (head[i] - wanted) ** 2;
    sums.target += wanted;
    sums.square += wanted ** 2;
  }
  sums.count += noise.length;
}

/** Mean squared error of a head over all levels, and that of each level's mean. */
async function errorOf(model, name, { images, levels, data }, onProgress) {
  const { schedule, unet } = model;
  const batch = 64;
  const elements = elementCount(model.sampleShape);
  let [error, floor] = [0, 0];
  for (let level = 0; level < levels; ++level) {
    const n = Math.round(((level + 0.5) * schedule.steps) / levels);
    const [signal, spread] = [Math.sqrt(schedule.alphaBar(n)), Math.sqrt(schedule.betaBar(n))];
    const sums = { error: 0, target: 0, square: 0, count: 0 };
    for (let first = 0; first < images; first += batch) {
      const count = Math.min(batch, images - first);
      const streams = sampleStreams(count, { seed: first, record: n, draw: 0 });
      const noise = await normals(model.device, model.sampleShape, streams);
      const given = data.subarray(first * elements, (first + count) * elements);
      const x = Float32Array.from(noise, (value, i) => signal * (given[i] / 127.5 - 1) + spread * value);
      const { out, head } = await unet.forward(x, schedule.networkTime(n));
      addUp(sums, { noise, out, head, target: targets[name] });
    }
    error += sums.error / sums.count / levels;
    floor += (sums.square / sums.count - (sums.target / sums.count) ** 2) / levels;
    onProgress(level + 1, levels);
  }
  return { error, floor };
}

await command(async () => {
  const options = parseOptions(usage, {
    models: { type: 'string', default: defaults.model },
    heads: { type: 'string', default: Object.keys(targets).join() },
    data: { type: 'string', default: 'mnist' },
    images: { type: 'string', default: '512' },
    levels: { type: 'string', default: '20' },
    device: { type: 'string', default: 'cpu' },
  });
  const images = integer('images', options.images);
  const heads = list(options.heads);
  const unknown = heads.find((name) => !(name in targets));
  if (unknown !== undefined) throw new Error(`--heads: '${unknown}' is none of ${Object.keys(targets).join(', ')}`);
  const data = imagesOf(options.data, 't10k', images).levels;
  const run = { images, levels: integer('levels', options.levels), data };
  console.log('| model | head | error | by the means alone |\n| --- | --- | --: | --: |');
  for (const folder of list(options.models)) {
    for (const name of heads) {
      const progress = progressBar(`${folder}, ${name}`, false);
      const model = await DiffusionModel.load(folder, { device: options.device, head: name });
      const { error, floor } = await errorOf(model, name, run, progress.update).finally(async () => {
        progress.stop();
        await model.close();
      });
      console.log(`| ${folder} | ${name} | ${error.toPrecision(4)} | ${floor.toPrecision(4)} |`);
    }
  }
});
