// Classifiers of our own that tell what a picture shows: which emoji, in what style, on what background.
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
 * Opens the judges in a folder: `emoji/` and `look/`, runs of `dpm train --classifier`, each with the `classes.json` of its data.
 */
export async function openJudges(folder) {
  const open = async (name) => ({
    classifier: await Classifier.load(join(folder, name), { device: 'cpu' }),
    names: await readJson(join(folder, name, 'classes.json'), 'copy it from the data of make-emoji.mjs --labels'),
  });
  const [emoji, look] = [await open('emoji'), await open('look')];
  return {
    /** Judges pictures with values in [-1, 1]: of each the emoji, the most likely first, its style and background. */
    async judge(values, shape) {
      const emojis = await rankedClasses(emoji.classifier, values, shape, emoji.names);
      const looks = await rankedClasses(look.classifier, values, shape, look.names);
      return emojis.map((ranked, i) => {
        const [style, background] = looks[i][0].split(' ');
        return { emoji: ranked, style, background };
      });
    },
    async close() {
      await emoji.classifier.close();
      await look.classifier.close();
    },
  };
}

/** Shares of questions that pictures answer: of the emoji only where one is asked for. */
export function scores(questions, judged) {
  const share = (isRight, of = () => true) => {
    const asked = questions.map((question, i) => [question, judged[i]]).filter(([question]) => of(question));
    return asked.length === 0 ? null : asked.filter((pair) => isRight(...pair)).length / asked.length;
  };
  const isSingle = ({ emoji }) => emoji.length === 1;
  return {
    background: share((question, found) => question.background === found.background),
    style: share((question, found) => question.style === found.style),
    first: share((question, found) => found.emoji[0] === question.emoji[0], isSingle),
    topFive: share((question, found) => found.emoji.slice(0, 5).includes(question.emoji[0]), isSingle),
  };
}
