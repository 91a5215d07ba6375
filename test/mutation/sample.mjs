// Which lines of a room are mutated where time is short: blocks of neighbouring lines, drawn at random.
import { readFileSync } from 'node:fs';

import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformInt } from 'pure-rand/distribution/uniformInt';

const BLOCK = 15;

function blocksOf(file) {
  const lines = readFileSync(file, 'utf8').split('\n').length;
  return Array.from({ length: Math.ceil(lines / BLOCK) }, (_, i) => `${file}:${i * BLOCK + 1}-${(i + 1) * BLOCK}`);
}

/** Patterns for Stryker's `mutate` that come to `lines` lines of these files. */
export function sampleLines(files, lines, seed) {
  const random = xoroshiro128plus(seed);
  const blocks = files.flatMap(blocksOf);
  for (let i = blocks.length - 1; i > 0; i -= 1) {
    const other = uniformInt(random, 0, i);
    [blocks[i], blocks[other]] = [blocks[other], blocks[i]];
  }
  return blocks.slice(0, Math.ceil(lines / BLOCK)).sort();
}
