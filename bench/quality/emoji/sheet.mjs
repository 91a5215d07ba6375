// Pictures of 40 fixed prompts, one seed, none left out; and the pictures of the data that are most like them.
//
//   node bench/quality/emoji/sheet.mjs --help
import { fileURLToPath } from 'node:url';

import { ImageBatch, TextToImage } from '../../../dist/index.js';
import { readJson } from '../files.mjs';
import { command, integer, list, parseOptions, requireOptions } from '../options.mjs';
import { commonDrawings, judgeByDrawings } from './drawings.mjs';
import { openJudge, scores } from './judges.mjs';
import { nearestPictures } from './nearest.mjs';

const usage = `node bench/quality/emoji/sheet.mjs --model DIR --out FILE.png [options]

Draws the prompts of bench/quality/emoji/prompts.json: 20 that the data show, then 20 that they do not (a style, a background,
a pair that are held out or are not there).

  --judge DIR       says which emoji a classifier recognises among its first five, and which styles and backgrounds the drawings
  --data FILE       images of the data, safetensors; with --nearest
  --nearest FILE    receives the pictures, each above the nearest one of the data
  --prompts LIST    numbers of prompts, from 0; default all. With others than all, no judge
  --columns N       default 8
  --guidance W, --steps N, --sampler NAME, --seed INT   default those of the model, and seed 0`;

/** What a question says, short enough to lie below its picture. */
const shortText = (text) => text.replace(/^an? /, '').replace(/, (\w+) style, on (\w+)$/, ' $1 $2');

/** Two rows in turn: pictures, and what is nearest to them. */
function inPairs(levels, nearest, [count, ...sides], columns) {
  const elements = levels.length / count;
  const all = new Uint8Array(2 * levels.length);
  for (let i = 0; i < count; ++i) {
    const place = 2 * Math.floor(i / columns) * columns + (i % columns);
    const part = (from) => from.subarray(i * elements, (i + 1) * elements);
    all.set(part(levels), place * elements);
    all.set(part(nearest), (place + columns) * elements);
  }
  return new ImageBatch(all, [2 * count, ...sides]);
}

async function judgeAll(folder, prompts, images) {
  const judge = await openJudge(folder);
  const ranked = await judge.ranked(images.data, images.shape).finally(() => judge.close());
  const parts = prompts.map(({ emoji }) => emoji.length);
  const judged = judgeByDrawings(commonDrawings(), images.data, images.shape, parts);
  for (const [what, from, to] of [
    ['seen', 0, 20],
    ['not seen', 20, prompts.length],
  ]) {
    const own = prompts.slice(from, to);
    const single = own.flatMap(({ emoji, text }, i) => (emoji.length === 1 ? [{ emoji: emoji[0], text, i }] : []));
    const missed = single.filter(({ emoji, i }) => !ranked[from + i].slice(0, 5).includes(emoji));
    const { style, background } = scores(own, judged.slice(from, to));
    console.log(
      `${what}: emoji ${single.length - missed.length} of ${single.length}, style ${style * own.length} and background ${background * own.length} of ${own.length}; missed: ${missed.map(({ text }) => text).join('; ') || 'none'}`,
    );
  }
}

await command(async () => {
  const given = parseOptions(usage, {
    model: { type: 'string' },
    out: { type: 'string' },
    judge: { type: 'string' },
    data: { type: 'string' },
    nearest: { type: 'string' },
    prompts: { type: 'string' },
    columns: { type: 'string', default: '8' },
    guidance: { type: 'string' },
    steps: { type: 'string' },
    sampler: { type: 'string' },
    seed: { type: 'string', default: '0' },
  });
  requireOptions(given, 'model', 'out');
  if (given.nearest !== undefined) requireOptions(given, 'data');
  const all = await readJson(fileURLToPath(new URL('prompts.json', import.meta.url)), 'it is part of the repository');
  const prompts = given.prompts === undefined ? all : list(given.prompts).map((number) => all[Number(number)]);
  const columns = integer('columns', given.columns);
  const pipeline = await TextToImage.load(given.model, { device: 'cpu' });
  const { images } = await pipeline
    .generate({
      prompt: prompts.map(({ text }) => text),
      guidance: given.guidance === undefined ? undefined : Number(given.guidance),
      steps: integer('steps', given.steps),
      sampler: given.sampler,
      seed: integer('seed', given.seed, 0),
      batch: 20,
    })
    .finally(() => pipeline.close());
  const labels = prompts.map(({ text }) => shortText(text));
  await images.save(given.out, { columns, scale: 2, gap: 4, labels });
  if (given.judge !== undefined && prompts === all) await judgeAll(given.judge, prompts, images);
  if (given.nearest === undefined) return;
  const levels = images.toUint8();
  const near = await nearestPictures(levels, prompts.length, given.data);
  await inPairs(levels, near.levels, images.shape, columns).save(given.nearest, { columns, gap: 2 });
  const roots = near.meanSquares.map((square) => Math.sqrt(square).toFixed(1));
  console.log(`root of the mean squared difference to the nearest picture, of 255: ${roots.join(' ')}`);
});
