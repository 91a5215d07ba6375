import type { Kind } from '../base/option-kinds.js';
import type { HostContext } from './host-context.js';
import type { StepRecord } from './record.js';

/** Second output of the network that a program reads. */
export type ProgramHead = 'npr' | 'sn' | 'ocm' | 'learned';

const heads: readonly ProgramHead[] = ['npr', 'sn', 'ocm', 'learned'];

/** Kind of a program's `head`. */
export const headKind: Kind = {
  expected: "'npr', 'sn', 'ocm', 'learned' or null",
  holds: (value) => value === null || heads.some((head) => head === value),
};

/** Sampler compiled to a table of numbers: native code runs it without calls of JavaScript. */
export interface StepProgram {
  /** Kind of program; distinguishes it from a host program. */
  readonly kind: 'step';
  /** Records, one per step, in order. */
  readonly records: readonly StepRecord[];
  /** Length of the ring of past predictions, at most MAX_HISTORY. */
  readonly history: number;
  /** Standard deviation of the initial noise. */
  readonly initialScale: number;
  /** Second output that the records read, null if they read none. */
  readonly head: ProgramHead | null;
  /** Meaning of the network's output, as in a sampler's option `prediction`; absent: that of the model's schedule. */
  readonly prediction?: string | undefined;
}

/** Sampler that takes decisions while it runs, in TypeScript, with named device tensors. */
export interface HostProgram {
  /** Kind of program; distinguishes it from a step program. */
  readonly kind: 'host';
  /** Standard deviation of the initial noise. */
  readonly initialScale: number;
  /** Second output that it reads, null for none. */
  readonly head: ProgramHead | null;
  /** Starts with the initial state in the tensor `x` and leaves the result there. */
  run(context: HostContext): Promise<void>;
}

/** Program of a sampler. */
export type Program = StepProgram | HostProgram;
