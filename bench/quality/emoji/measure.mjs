// How often a model of words to emoji draws what it is asked for, by the drawings of what it learned, beside the right drawings.
//
//   node bench/quality/emoji/measure.mjs --help
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { progressBar } from '../../../dist/cli/output.js';
import { ImageBatch, TextToImage } from '../../../dist/index.js';
import { digits, writeJson } from '../files.mjs';
import { command, integer, list, parseOptions, requireOptions } from '../options.mjs';
import { commonDrawings, judgeByDrawings } from './drawings.mjs';
import { openJudge, scores } from './judges.mjs';

const usage = `node bench/quality/emoji/measure.mjs --model DIR --questions DIR --out FILE [options]

Draws what the questions of scripts/emoji-questions.mjs ask for, and writes what share is right (JSON), by kind of question
and weight of guidance, beside that of the right drawings. What a picture shows is told by the drawings that it is nearest to,
at any place; of pairs, both halves have to be right.

  --judge DIR      a classifier of emoji (openai-classifier, with its classes.json), which tells them in pictures of one
  --guidance LIST  weights; default 1,2,4,7
  --steps N        default that of the model
  --sampler NAME   default that of the model
  --limit N        questions of a kind; default all
  --seed INT       default 0`;

async function readQuestions(folder, limit) {
  const lines = (await readFile(join(folder, 'questions.jsonl'), 'utf8')).trimEnd().split('\n');
  const counts = new Map();
  const all = lines.map((line, index) => ({ index, ...JSON.parse(line) }));
  return all.filter(({ kind }) => {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return limit === undefined || counts.get(kind) <= limit;
  });
}

/** Shares of all questions and of each kind. */
function table(questions, judged) {
  const kinds = [...new Set(questions.map(({ kind }) => kind))];
  const of = (kind) => {
    const places = questions.flatMap((question, i) => (question.kind === kind ? [i] : []));
    return scores(
      places.map((i) => questions[i]),
      places.map((i) => judged[i]),
    );
  };
  return Object.fromEntries(kinds.map((kind) => [kind, of(kind)]));
}

/** The right drawings of questions, as values. */
async function drawings(folder, questions) {
  const batch = await ImageBatch.load(join(folder, 'questions.safetensors'));
  const elements = batch.data.length / batch.count;
  const values = new Float32Array(questions.length * elements);
  questions.forEach(({ index }, i) => {
    const own = batch.data.subarray(index * elements, (index + 1) * elements);
    values.set(own instanceof Uint8Array ? Float32Array.from(own, (level) => level / 127.5 - 1) : own, i * elements);
  });
  return { values, shape: [questions.length, ...batch.shape.slice(1)] };
}

/** What pictures show, by the drawings, and by the classifier where there is one and one emoji is asked for. */
async function judgeAll(questions, drawn, judge, values, shape) {
  const parts = questions.map(({ emoji }) => emoji.length);
  const found = judgeByDrawings(drawn, values, shape, parts);
  if (judge === undefined) return found;
  const ranked = await judge.ranked(values, shape);
  return found.map((each, i) => (parts[i] > 1 ? each : { ...each, parts: [{ ...each.parts[0], emoji: ranked[i] }] }));
}

const rounded = (shares) =>
  Object.fromEntries(
    Object.entries(shares).map(([kind, of]) => [
      kind,
      Object.fromEntries(Object.entries(of).map(([what, share]) => [what, digits(share, 3)])),
    ]),
  );

await command(async () => {
  const given = parseOptions(usage, {
    model: { type: 'string' },
    questions: { type: 'string' },
    judge: { type: 'string' },
    out: { type: 'string' },
    guidance: { type: 'string', default: '1,2,4,7' },
    steps: { type: 'string' },
    sampler: { type: 'string' },
    limit: { type: 'string' },
    seed: { type: 'string', default: '0' },
  });
  requireOptions(given, 'model', 'questions', 'out');
  const questions = await readQuestions(given.questions, integer('limit', given.limit));
  const drawn = commonDrawings();
  const judge = given.judge === undefined ? undefined : await openJudge(given.judge);
  const judged = (values, shape) => judgeAll(questions, drawn, judge, values, shape);
  const pipeline = await TextToImage.load(given.model, { device: 'cpu' });
  try {
    const answers = await drawings(given.questions, questions);
    const result = {
      questions: questions.length,
      steps: integer('steps', given.steps) ?? pipeline.defaults.steps,
      sampler: given.sampler ?? 'scheduler',
      drawings: rounded(table(questions, await judged(answers.values, answers.shape))),
      guidance: {},
    };
    console.error('drawings', JSON.stringify(result.drawings));
    for (const weight of list(given.guidance).map(Number)) {
      const progress = progressBar(`guidance ${weight}`, false);
      const { images } = await pipeline
        .generate({
          prompt: questions.map(({ text }) => text),
          guidance: weight,
          steps: result.steps,
          sampler: result.sampler,
          seed: integer('seed', given.seed, 0),
          batch: 32,
          onProgress: progress.update,
        })
        .finally(progress.stop);
      result.guidance[weight] = rounded(table(questions, await judged(images.data, images.shape)));
      console.error(`guidance ${weight}`, JSON.stringify(result.guidance[weight]));
    }
    await writeJson(given.out, result);
  } finally {
    await pipeline.close();
    await judge?.close();
  }
});
