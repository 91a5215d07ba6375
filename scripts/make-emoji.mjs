#!/usr/bin/env node
// Makes pictures of emoji with captions, the data of a small model of text to image.
//
//   node scripts/make-emoji.mjs --help
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { command, integer, parseOptions } from '../bench/quality/options.mjs';
import { writeAtomically } from '../dist/files/files.js';
import { safetensorsHeader } from '../dist/files/tensor-data.js';
import { ImageBatch } from '../dist/index.js';
import { captionsOf } from './emoji/captions.mjs';
import { common } from './emoji/common.mjs';
import { Choices, compose, nothing } from './emoji/compose.mjs';
import { drawAll } from './emoji/drawings.mjs';
import { heldOutJson, holdOut } from './emoji/held-out.mjs';
import { labelsOf } from './emoji/labels.mjs';
import { install, packages, permission, readEmoji, styles } from './emoji/packages.mjs';
import { kinds, Random } from './emoji/random.mjs';

const usage = `node scripts/make-emoji.mjs --out DIR [options]

Draws emoji of Noto and Fluent Emoji Flat on backgrounds of eight colours, one or two in a picture, and writes into DIR:
images.safetensors (images, U8 [N, 3, 64, 64]), captions.jsonl (three captions of each), held-out.json (what no picture
shows), sheet.png (the first 64) and NOTICE.md (licences). The packages that it draws are fetched into .toolchain/emoji.

  --count N     pictures; default 60000
  --seed INT    default 0; the same seed makes the same bytes, and the first pictures of a larger count
  --size N      pixels of a side; default 64
  --common      some 260 things that people ask for first, instead of all 1,644 emoji
  --pictures    PNG files instead of images.safetensors
  --labels      for a classifier that judges: pictures of one emoji each, nothing held out, with the labels of what they show`;

/** Number of pictures of the sheet. */
const SHEET = 64;

function options() {
  const {
    out,
    count,
    seed,
    size,
    common: isCommon,
    pictures,
    labels,
  } = parseOptions(usage, {
    out: { type: 'string' },
    count: { type: 'string', default: '60000' },
    seed: { type: 'string', default: '0' },
    size: { type: 'string', default: '64' },
    common: { type: 'boolean', default: false },
    pictures: { type: 'boolean', default: false },
    labels: { type: 'boolean', default: false },
  });
  if (out === undefined) throw new Error('--out names the folder of the data');
  if (labels && pictures) throw new Error('--labels and --pictures exclude each other');
  const numbers = { count: integer('count', count), seed: integer('seed', seed, 0), size: integer('size', size, 16) };
  return { out, ...numbers, isCommon, pictures, labels };
}

/** Pictures one after the other, each with its captions and what it shows; those of a classifier show one emoji each. */
function* samples(choices, { count, seed, size, labels }) {
  for (let index = 0; index < count; ++index) {
    const random = new Random(seed, kinds.picture, index);
    const drawn = choices.draw(random, labels ? 0 : undefined);
    const levels = compose(random, size, drawn);
    const emoji = drawn.shown.map((drawing) => drawing.emoji.hexcode);
    yield { index, levels, text: captionsOf(random, drawn), emoji, style: drawn.style, background: drawn.colour };
  }
}

const pngOf = (levels, size) => new ImageBatch(levels, [1, 3, size, size]).toPng();
const nameOf = (index) => `pictures/${String(index).padStart(6, '0')}.png`;

/** Lines of captions, and the first pictures, as the samples go by. */
class Record {
  lines = [];
  words = new Set();
  first = [];

  add({ levels, ...line }, pictures) {
    const { index, ...facts } = line;
    this.lines.push(`${JSON.stringify(pictures ? { file_name: nameOf(index), ...facts } : line)}\n`);
    for (const text of line.text)
      for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) this.words.add(word);
    if (index < SHEET) this.first.push(levels);
  }
}

function* withProgress(all, count) {
  for (const sample of all) {
    yield sample;
    if ((sample.index + 1) % 5000 === 0) console.error(`${sample.index + 1} of ${count} pictures`);
  }
}

function* tensorParts(all, record, { count, size }, labelOf) {
  const images = { name: 'images', dtype: 'U8', shape: [count, 3, size, size], bytes: 3 * count * size * size };
  const labels = { name: 'labels', dtype: 'I32', shape: [count], bytes: 4 * count };
  yield* safetensorsHeader(labelOf === undefined ? [images] : [images, labels], {});
  const found = new Int32Array(count);
  for (const sample of all) {
    record.add(sample, false);
    if (labelOf !== undefined) found[sample.index] = labelOf(sample);
    yield sample.levels;
  }
  if (labelOf !== undefined) yield new Uint8Array(found.buffer);
}

async function writePictures(all, record, { out, size }) {
  await mkdir(join(out, 'pictures'), { recursive: true });
  for (const sample of all) {
    record.add(sample, true);
    await writeFile(join(out, nameOf(sample.index)), pngOf(sample.levels, size));
  }
}

function noticeText() {
  const used = packages.filter(({ licence }) => licence !== 'MPL-2.0');
  const rows = used.map(
    ({ name, version, what, owner, licence }) => `| ${name} ${version} | ${what} | ${owner} | ${licence} |`,
  );
  return `# Notice

Pictures and captions of this folder are made of:

| npm package | what | owner | licence |
| --- | --- | --- | --- |
${rows.join('\n')}

The drawings were scaled, and put on backgrounds. The licence Apache-2.0 is https://www.apache.org/licenses/LICENSE-2.0.
The licence MIT of the others, Copyright (c) Microsoft Corporation and Copyright (c) Miles Johnson:

${permission()}`;
}

async function writeSheet(path, first, size) {
  const levels = new Uint8Array(first.length * 3 * size * size);
  first.forEach((each, i) => levels.set(each, i * each.length));
  await new ImageBatch(levels, [first.length, 3, size, size]).save(path, { columns: 8, scale: 2, gap: 4 });
}

async function main() {
  const wanted = options();
  const { out, count, size, isCommon, pictures } = wanted;
  install();
  await mkdir(out, { recursive: true });
  const emoji = readEmoji();
  const report = (style) => console.error(`drawing emoji, ${style} style`);
  const isDrawn = ({ label }) => !isCommon || common.has(label);
  const all = drawAll(emoji, 2 * size, report, isDrawn);
  const drawings = all.filter(({ pixels }) => pixels !== null);
  const labels = wanted.labels ? labelsOf(emoji.filter(isDrawn)) : undefined;
  // What is held out is that of all emoji, of which some may be drawn.
  const heldOut = labels === undefined ? holdOut(all) : nothing;
  const record = new Record();
  const shown = withProgress(samples(new Choices(drawings, heldOut), wanted), count);
  if (pictures) await writePictures(shown, record, wanted);
  else await writeAtomically(join(out, 'images.safetensors'), tensorParts(shown, record, wanted, labels?.of));
  if (labels !== undefined) await writeAtomically(join(out, 'classes.json'), [`${JSON.stringify(labels.names)}\n`]);
  await writeAtomically(join(out, 'captions.jsonl'), record.lines);
  await writeAtomically(join(out, 'held-out.json'), [`${JSON.stringify(heldOutJson(heldOut), null, 2)}\n`]);
  await writeAtomically(join(out, 'NOTICE.md'), [noticeText()]);
  await writeSheet(join(out, 'sheet.png'), record.first, size);
  const counts = Object.keys(styles).map((name) => `${drawings.filter(({ style }) => style === name).length} ${name}`);
  console.log(`${out}: ${count} pictures of ${counts.join(' and ')} drawings, ${record.words.size} words`);
}

await command(main);
