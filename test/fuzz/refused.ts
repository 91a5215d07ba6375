// Rule for a parser in every fuzz target: it takes the bytes, or refuses them with an error of ours that people can
// read.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { mistake } from '../support/mistake.js';

const folder = mkdtempSync(join(tmpdir(), 'dpm-fuzz-'));

/** A file of these bytes, which the next one of the same name replaces. */
export function fileOf(bytes: Uint8Array, name: string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** How parsers begin to answer an input, without names and numbers: inputs of other answers reach other code. */
export const outcomes: string[] = [];

/** Throws what `work` throws unless that is a refusal. */
export async function takenOrRefused(work: () => unknown): Promise<void> {
  try {
    await work();
    outcomes.push('taken');
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    const isOurs = typeof code === 'string' && code.startsWith('ERR_DPM_') && code !== 'ERR_DPM_INTERNAL';
    if (!isOurs || mistake.test(message) || message.length > 20_000 || /[\r\n]/.test(message)) throw error;
    outcomes.push(`${code} ${message.replaceAll(/\S*\/\S+|'[^']*'|"[^"]*"|-?\d[\d.e+]*/g, '#').slice(0, 24)}`);
  }
}
