// A classifier of our own that tells which emoji a picture shows, and how often pictures are right.
import { join } from 'node:path';

import { Classifier } from '../../../dist/index.js';
import { readJson } from '../files.mjs';

/** Pictures judged at once. */
const BLOCK = 64;

/** Pictures at the sides that a judge sees, by the mean of the pixels that each of its own covers. */
export function reduced(values, [count, channels, height, width], side) {
  const factor = height / side;
  if (!Number.isInteger(factor) || width !== height) throw new Error(`${height} x ${width} is no multiple of ${side}`);
  const out = new Float32Array(count * channels * side * side);
  out.forEach((_, i) => {
    const [x, y, plane] = [i % side, Math.floor(i / side) % side, Math.floor(i / side ** 2)];
    let sum = 0;
    for (let row = 0; row < factor; ++row) {
      const from = (plane * height + y * factor + row) * width + x * factor;
      for (let column = 0; column < factor; ++column) sum += values[from + column];
    }
    out[i] = sum / factor ** 2;
  });
  return out;
}

/** Classes of pictures, the most likely first. */
async function rankedClasses(classifier, values, shape, names) {
  const side = classifier.sampleShape[2];
  const small = reduced(values, shape, side);
  const elements = 3 * side * side;
  const ranked = [];
  for (let first = 0; first < shape[0]; first += BLOCK) {
    const rows = Math.min(BLOCK, shape[0] - first);
    const logits = await classifier.logits(small.subarray(first * elements, (first + rows) * elements), 0);
    for (let row = 0; row < rows; ++row) {
      const own = [...logits.subarray(row * names.length, (row + 1) * names.length)];
      const order = own.map((logit, place) => [logit, place]).sort(([a], [b]) => b - a);
      ranked.push(order.map(([, place]) => names[place]));
    }
  }
  return ranked;
}

/**
 * Opens a judge of emoji: a run of `dpm train --classifier`, with the `classes.json` of its data.
 */
export async function openJudge(folder) {
  const classifier = await Classifier.load(folder, { device: 'cpu' });
  const names = await readJson(join(folder, 'classes.json'), 'copy it from the data of make-emoji.mjs --labels');
  return {
    /** Gives the emoji of pictures with values in [-1, 1], the most likely first. */
    ranked: (values, shape) => rankedClasses(classifier, values, shape, names),
    close: () => classifier.close(),
  };
}

/** Shares of questions that pictures answer: all parts of a picture have to be right, each at its place. */
export function scores(questions, judged) {
  const share = (isRight) => questions.filter((question, i) => isRight(question, judged[i])).length / questions.length;
  const isAmong = (places) => (question, found) =>
    found.parts.every(({ emoji }, i) => emoji.slice(0, places).includes(question.emoji[i]));
  return {
    background: share((question, found) => question.background === found.background),
    style: share((question, found) => found.parts.every(({ style }) => question.style === style)),
    first: share(isAmong(1)),
    topFive: share(isAmong(5)),
  };
}
