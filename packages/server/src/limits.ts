import { type InLine, inLine } from './threads/pool.js';

/** How long clients may take, and the event loop. A server has {@link limits}; tests have less patience. */
export interface Limits {
  /** Milliseconds until the header of a request has come. */
  readonly header: number;
  /** Milliseconds until all of it has come. */
  readonly request: number;
  /** Milliseconds between two looks at the requests that are coming. */
  readonly check: number;
  /** Milliseconds after which an answer that nobody reads on is given up; up to twice as long where some of it has been read. */
  readonly stall: number;
  /** What the event loop does itself. */
  readonly inLine: InLine;
}

/** Those of every server. */
export const limits: Limits = { header: 10_000, request: 30_000, check: 1000, stall: 60_000, inLine };
