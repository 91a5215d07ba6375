// Frechet distance of drawn emoji from those of the data, by sampler, steps and guidance.
//
//   node bench/quality/emoji/distances.mjs --help
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { progressBar } from '../../../dist/cli/output.js';
import { TextToImage } from '../../../dist/index.js';
import { openFeatures } from '../features.mjs';
import { digits, writeJson } from '../files.mjs';
import { frechetDistance } from '../frechet.mjs';
import { command, integer, list, parseOptions, requireOptions } from '../options.mjs';
import { picturesOf } from './pictures.mjs';

const usage = `node bench/quality/emoji/distances.mjs --model DIR --judge DIR --data DIR --out FILE.json [options]

Draws the first captions of the data, and compares what the judge of emoji sees in them, the means of its middle maps, with
what it sees in the data. Cells that the file has are not drawn again; a floor is the distance of as many other pictures of the
data.

  --samplers LIST  default ddim,dpm-solver++-2m,unipc,analytic-ddim,npr-ddim
  --steps LIST     default 5,10,20,50
  --guidance LIST  default 1,3
  --samples N      images a cell; default 2000
  --reference N    pictures of the data that they are compared with; default 20000
  --seed INT       default 0`;

/** Levels of pictures of the data, all at once. */
async function levelsOf(folder, range) {
  const parts = [];
  let sides;
  for await (const { levels, shape } of picturesOf(join(folder, 'images.safetensors'), range)) {
    parts.push(levels);
    sides = shape.slice(1);
  }
  return [Buffer.concat(parts), [range.count, ...sides]];
}

const nameOf = ({ sampler, steps, guidance }) => `${sampler}, ${steps} steps, guidance ${guidance}`;

async function drawCell(pipeline, cell, prompts, seed) {
  const progress = progressBar(nameOf(cell), false);
  const { images } = await pipeline
    .generate({ prompt: prompts, ...cell, seed, batch: 50, onProgress: progress.update })
    .finally(progress.stop);
  return images;
}

await command(async () => {
  const given = parseOptions(usage, {
    model: { type: 'string' },
    judge: { type: 'string' },
    data: { type: 'string' },
    out: { type: 'string' },
    samplers: { type: 'string', default: 'ddim,dpm-solver++-2m,unipc,analytic-ddim,npr-ddim' },
    steps: { type: 'string', default: '5,10,20,50' },
    guidance: { type: 'string', default: '1,3' },
    samples: { type: 'string', default: '2000' },
    reference: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '0' },
  });
  requireOptions(given, 'model', 'judge', 'data', 'out');
  const [samples, size] = [integer('samples', given.samples), integer('reference', given.reference)];
  const seed = integer('seed', given.seed, 0);
  const lines = (await readFile(join(given.data, 'captions.jsonl'), 'utf8')).split('\n', samples);
  const prompts = lines.map((line) => JSON.parse(line).text[0]);
  const extractor = fileURLToPath(new URL('features.mjs', import.meta.url));
  const features = await openFeatures(extractor, { model: given.judge });
  const pipeline = await TextToImage.load(given.model, { device: 'cpu' });
  try {
    // The pictures whose captions are drawn are not those that they are compared with.
    const reference = await features.moments(...(await levelsOf(given.data, { first: samples, count: size })));
    const of = async (levels, shape) => digits(frechetDistance(await features.moments(levels, shape), reference));
    const result = await readFile(given.out, 'utf8').then(JSON.parse, () => ({
      samples,
      reference: size,
      seed,
      cells: [],
    }));
    result.floor ??= await of(...(await levelsOf(given.data, { count: samples })));
    for (const guidance of list(given.guidance).map(Number)) {
      for (const sampler of list(given.samplers)) {
        for (const steps of list(given.steps).map(Number)) {
          const cell = { sampler, steps, guidance };
          if (result.cells.some((each) => nameOf(each) === nameOf(cell))) continue;
          const images = await drawCell(pipeline, cell, prompts, seed);
          const frechet = await of(images.toUint8(), [...images.shape]);
          result.cells.push({ ...cell, frechet });
          console.error(`${nameOf(cell)}: ${frechet}`);
          await writeJson(given.out, result);
        }
      }
    }
  } finally {
    await pipeline.close();
    await features.close();
  }
});
