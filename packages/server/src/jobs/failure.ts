import { DpmError } from 'dpm-native';

import { failureOf } from '../base/problem.js';
import type { ChunkFailure } from './store.js';

/** The number of times that a chunk is tried. */
export const ATTEMPTS = 4;
/** Milliseconds until a chunk is tried again, doubled after each failure. */
export const BACKOFF = 1000;

/** Codes that are not the chunk's fault: it was stopped, or its model was removed. */
const undone: ReadonlySet<string> = new Set(['ERR_DPM_ABORTED', 'ERR_DPM_CLOSED', 'ERR_DPM_DEVICE']);

/** Tells whether a chunk was not drawn through no fault of its own. */
export function isUndone(error: unknown): boolean {
  return error instanceof DpmError && undone.has(error.code);
}

/** Tells whether a chunk always fails, as its request is wrong. */
export function isFinal(error: unknown): boolean {
  const { status } = failureOf(error, '').problem;
  return status >= 400 && status < 500;
}

/** The record of a chunk's error. For internal errors it has only the code. */
export function chunkFailure(chunk: number, error: unknown): ChunkFailure {
  const { code, detail } = failureOf(error, `chunk ${chunk}`).problem;
  return { chunk, code, message: detail };
}
