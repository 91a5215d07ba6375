#!/usr/bin/env node
// Makes questions for a model that draws emoji from words, with the pictures that would be right.
//
//   node scripts/emoji-questions.mjs --help
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { command, integer, parseOptions } from '../bench/quality/options.mjs';
import { writeAtomically } from '../dist/files/files.js';
import { writeSafetensors } from '../dist/files/tensor-data.js';
import { ask } from './emoji/captions.mjs';
import { common } from './emoji/common.mjs';
import { Choices, colours, compose } from './emoji/compose.mjs';
import { drawAll } from './emoji/drawings.mjs';
import { holdOut } from './emoji/held-out.mjs';
import { install, readEmoji } from './emoji/packages.mjs';
import { kinds, Random } from './emoji/random.mjs';

const usage = `node scripts/emoji-questions.mjs --out DIR [options]

Writes into DIR: questions.jsonl (text, kind, code points, style and background) and questions.safetensors (images, U8
[N, 3, 64, 64], what drawings of the packages would make of them). Kinds: seen (single emoji as make-emoji.mjs shows them),
style (150 emoji in the style that it never shows), background (150 on two backgrounds each that it never shows), pair (two
emoji).

  --common   of those alone that make-emoji.mjs --common shows
  --count N  questions of the kinds seen and pair; default 300
  --size N   pixels of a side; default 64`;

/** Everything that is asked, in order. */
function* questions(all, count) {
  const heldOut = holdOut(all);
  const drawings = all.filter(({ pixels }) => pixels !== null);
  const drawn = new Set(drawings.map(({ emoji }) => emoji));
  const isAsked = ({ emoji }) => drawn.has(emoji);
  const choices = new Choices(drawings, heldOut);
  const drawingOf = (emoji, style) => drawings.find((each) => each.emoji === emoji && each.style === style);
  const numbers = (index) => new Random(0, kinds.question, index);
  let index = 0;
  for (let i = 0; i < count; ++i, ++index) yield { kind: 'seen', index, ...choices.draw(numbers(index), 0) };
  for (const { emoji, style } of heldOut.inStyles.filter(isAsked)) {
    const colour = numbers(index).pick(Object.keys(colours));
    yield { kind: 'style', index: index++, shown: [drawingOf(emoji, style)], style, colour };
  }
  for (const { emoji, colours: unseen } of heldOut.onColours.filter(isAsked)) {
    for (const colour of unseen) {
      const style = numbers(index).pick(['noto', 'flat']);
      yield { kind: 'background', index: index++, shown: [drawingOf(emoji, style)], style, colour };
    }
  }
  for (let i = 0; i < count; ++i, ++index) yield { kind: 'pair', index, ...choices.draw(numbers(index), 1) };
}

async function main() {
  const given = parseOptions(usage, {
    out: { type: 'string' },
    common: { type: 'boolean', default: false },
    count: { type: 'string', default: '300' },
    size: { type: 'string', default: '64' },
  });
  const { out } = given;
  if (out === undefined) throw new Error('--out names the folder of the questions');
  const [count, size] = [integer('count', given.count), integer('size', given.size, 16)];
  install();
  const report = (style) => console.error(`drawing emoji, ${style} style`);
  const isDrawn = ({ label }) => !given.common || common.has(label);
  const all = [...questions(drawAll(readEmoji(), 2 * size, report, isDrawn), count)];
  const levels = new Uint8Array(all.length * 3 * size * size);
  const lines = all.map(({ kind, index, ...drawn }) => {
    levels.set(compose(new Random(0, kinds.answer, index), size, drawn), index * 3 * size * size);
    const emoji = drawn.shown.map((drawing) => drawing.emoji.hexcode);
    return `${JSON.stringify({ kind, text: ask(drawn), emoji, style: drawn.style, background: drawn.colour })}\n`;
  });
  await mkdir(out, { recursive: true });
  await writeAtomically(join(out, 'questions.jsonl'), lines);
  const images = { shape: [all.length, 3, size, size], data: levels };
  await writeSafetensors(join(out, 'questions.safetensors'), { images });
  console.log(`${out}: ${all.length} questions`);
}

await command(main);
