// Frechet distance of drawn emoji from those of the data, by sampler, steps and guidance.
//
//   node bench/quality/emoji/distances.mjs --help
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { progressBar } from '../../../dist/cli/output.js';
import { readSafetensorsHeader } from '../../../dist/files/safetensors.js';
import { TextToImage } from '../../../dist/index.js';
import { digits, writeJson } from '../files.mjs';
import { frechetDistance, moments } from '../frechet.mjs';
import { command, integer, list, parseOptions } from '../options.mjs';
import { openJudges, reduced } from './judges.mjs';

const usage = `node bench/quality/emoji/distances.mjs --model DIR --judges DIR --data DIR --out FILE.json [options]

Draws the first captions of the data, and compares what the judge of emoji sees in them, the means of its middle maps, with
what it sees in the data. Cells that the file has are not drawn again; a floor is the distance of as many other pictures of the
data.

  --samplers LIST  default ddim,dpm-solver++-2m,unipc,analytic-ddim,npr-ddim
  --steps LIST     default 5,10,20,50
  --guidance LIST  default 1,3
  --samples N      images a cell; default 2000
  --reference N    pictures of the data that they are compared with; default 20000
  --seed INT       default 0`;

const BLOCK = 100;

/** Reads pictures of the data as values, from a number on. */
async function pictures(folder, first, count) {
  const path = join(folder, 'images.safetensors');
  const { shape, offset } = (await readSafetensorsHeader(path)).tensors.get('images');
  const elements = shape.slice(1).reduce((a, b) => a * b);
  const file = await open(path);
  try {
    const levels = new Uint8Array(count * elements);
    await file.read(levels, 0, levels.length, offset + first * elements);
    return { values: Float32Array.from(levels, (level) => level / 127.5 - 1), shape: [count, ...shape.slice(1)] };
  } finally {
    await file.close();
  }
}

/** Features of pictures: the means over places of the judge's middle maps. */
async function featuresOf(judges, values, shape) {
  const { classifier } = judges;
  const network = await classifier.features();
  const small = reduced(values, shape, classifier.sampleShape[2]);
  const { out } = await network.forward(small, 0);
  const channels = network.info.outChannels;
  const places = out.length / shape[0] / channels;
  const features = new Float64Array(shape[0] * channels);
  features.forEach((_, i) => {
    for (let place = 0; place < places; ++place) features[i] += out[i * places + place] / places;
  });
  return { features, channels };
}

async function momentsOf(judges, parts) {
  const all = [];
  let channels = 0;
  for await (const { values, shape } of parts) {
    const found = await featuresOf(judges, values, shape);
    channels = found.channels;
    all.push(...found.features);
  }
  return moments(all, channels);
}

async function* blocksOfData(folder, first, count) {
  for (let from = 0; from < count; from += BLOCK) {
    yield pictures(folder, first + from, Math.min(BLOCK, count - from));
  }
}

async function* blocksOf({ data, shape: [count, ...sides] }) {
  const elements = sides.reduce((a, b) => a * b);
  for (let from = 0; from < count; from += BLOCK) {
    const rows = Math.min(BLOCK, count - from);
    yield { values: data.subarray(from * elements, (from + rows) * elements), shape: [rows, ...sides] };
  }
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
    judges: { type: 'string' },
    data: { type: 'string' },
    out: { type: 'string' },
    samplers: { type: 'string', default: 'ddim,dpm-solver++-2m,unipc,analytic-ddim,npr-ddim' },
    steps: { type: 'string', default: '5,10,20,50' },
    guidance: { type: 'string', default: '1,3' },
    samples: { type: 'string', default: '2000' },
    reference: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '0' },
  });
  const missing = ['model', 'judges', 'data', 'out'].find((name) => given[name] === undefined);
  if (missing !== undefined) throw new Error(`--${missing} is missing`);
  const [samples, size] = [integer('samples', given.samples), integer('reference', given.reference)];
  const seed = integer('seed', given.seed, 0);
  const lines = (await readFile(join(given.data, 'captions.jsonl'), 'utf8')).split('\n', samples);
  const prompts = lines.map((line) => JSON.parse(line).text[0]);
  const judges = await openJudges(given.judges);
  const pipeline = await TextToImage.load(given.model, { device: 'cpu' });
  try {
    // The pictures whose captions are drawn are not those that they are compared with.
    const reference = await momentsOf(judges, blocksOfData(given.data, samples, size));
    const of = async (parts) => digits(frechetDistance(await momentsOf(judges, parts), reference));
    const result = await readFile(given.out, 'utf8').then(JSON.parse, () => ({
      samples,
      reference: size,
      seed,
      cells: [],
    }));
    result.floor ??= await of(blocksOfData(given.data, 0, samples));
    for (const guidance of list(given.guidance).map(Number)) {
      for (const sampler of list(given.samplers)) {
        for (const steps of list(given.steps).map(Number)) {
          const cell = { sampler, steps, guidance };
          if (result.cells.some((each) => nameOf(each) === nameOf(cell))) continue;
          const frechet = await of(blocksOf(await drawCell(pipeline, cell, prompts, seed)));
          result.cells.push({ ...cell, frechet });
          console.error(`${nameOf(cell)}: ${frechet}`);
          await writeJson(given.out, result);
        }
      }
    }
  } finally {
    await pipeline.close();
    await judges.close();
  }
});
