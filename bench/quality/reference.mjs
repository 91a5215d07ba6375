// Mean and covariance of the features of the 10,000 test images of MNIST or Fashion-MNIST, and the distances of sets of
// training images.
//
//   scripts/setup --data && node bench/quality/reference.mjs --help
import { relative } from 'node:path';

import { progressBar } from '../../dist/cli/output.js';
import { openFeatures } from './features.mjs';
import { digits, writeJson } from './files.mjs';
import { frechetDistance } from './frechet.mjs';
import { dataSet, dataSetNames, imagesOf } from './idx.mjs';
import { command, featureOptions, featureUsage, integer, parseOptions } from './options.mjs';

const usage = `node bench/quality/reference.mjs [options]

Computes the moments that table.mjs compares samples with. --reference is the file it writes.

  --data NAME            of ${dataSetNames.join(', ')}; default mnist
  --floor-count N        training images of a set; default 1000
${featureUsage}`;

/** The number of sets of training images, as many as the table's samples, whose distance a perfect model would have. The spread of their distances says which differences mean nothing. */
const floorSets = 8;

async function floorsOf(features, name, floorCount, data) {
  const { levels, shape } = imagesOf(name, 'train', floorSets * floorCount);
  const size = levels.length / floorSets;
  const floors = [];
  for (let set = 0; set < floorSets; ++set) {
    const part = levels.subarray(set * size, (set + 1) * size);
    floors.push(digits(frechetDistance(await features.moments(part, [floorCount, ...shape.slice(1)]), data)));
  }
  return floors;
}

await command(async () => {
  const options = parseOptions(usage, {
    data: { type: 'string', default: 'mnist' },
    'floor-count': { type: 'string', default: '1000' },
    ...featureOptions,
  });
  const floorCount = integer('floor-count', options['floor-count'], 2);
  const { title, from } = dataSet(options.data);
  const features = await openFeatures(options.features, { model: options['features-model'] });
  try {
    const test = imagesOf(options.data, 't10k');
    const progress = progressBar(features.name, false);
    const data = await features.moments(test.levels, test.shape, progress.update).finally(progress.stop);
    const floors = await floorsOf(features, options.data, floorCount, data);
    await writeJson(options.reference, {
      features: features.name,
      data: `${title} test images (${from})`,
      count: data.count,
      floor: floors[0],
      floors,
      floorCount,
      mean: data.mean.map((value) => digits(value, 10)),
      covariance: data.covariance.map((row) => row.map((value) => digits(value, 10))),
    });
    console.log(`${features.name}: ${data.count} test images -> ${relative('.', options.reference)}`);
    console.log(
      `floor: ${floorCount} training images are ${floors[0]} from them; other sets: ${floors.slice(1).join(', ')}`,
    );
  } finally {
    await features.close();
  }
});
