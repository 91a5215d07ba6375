import { DpmError } from 'dpm-native';

import { failureOf } from '../base/problem.js';
import type { ChunkFailure } from './store.js';

/** Times that a chunk is tried. */
export const ATTEMPTS = 4;
/** Milliseconds after the first failure, twice as many after each other. */
export const BACKOFF = 1000;

/** Those that say nothing of the chunk: it was stopped, or its model went. */
const undone: ReadonlySet<string> = new Set(['ERR_DPM_ABORTED', 'ERR_DPM_CLOSED', 'ERR_DPM_DEVICE']);

/** Whether a chunk was not done for reasons that are not its own. */
export function isUndone(error: unknown): boolean {
  return error instanceof DpmError && undone.has(error.code);
}

/** Whether a chunk fails however often it is tried: the request is wrong. */
export function isFinal(error: unknown): boolean {
  const { status } = failureOf(error, '').problem;
  return status >= 400 && status < 500;
}

/** What is kept of an error: of one that is the machine's own business no more than its code. */
export function chunkFailure(chunk: number, error: unknown): ChunkFailure {
  const { code, detail } = failureOf(error, `chunk ${chunk}`).problem;
  return { chunk, code, message: detail };
}
