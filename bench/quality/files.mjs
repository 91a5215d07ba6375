// Files of results, formatted as the linter wants them and never half written.
import { readFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';

import { writeAtomically } from '../../dist/files/files.js';

/** Writes text formatted by prettier, by the file's extension. */
export async function writeFormatted(path, text) {
  await writeAtomically(path, [await format(text, { ...(await resolveConfig(path)), filepath: path })]);
}

export async function writeJson(path, value) {
  await writeFormatted(path, JSON.stringify(value));
}

/** @param {string} hint - The command that makes the file, for the error where it is missing. */
export async function readJson(path, hint) {
  let text;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${cause.message}; ${hint}`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path} is not JSON: ${cause.message}`, { cause });
  }
}

/** A number as it is kept: its digits beyond `count` are noise. */
export const digits = (value, count = 4) => Number(value.toPrecision(count));
