import type { Kind } from '../base/option-kinds.js';
import type { HostContext } from './host-context.js';
import type { StepRecord } from './record.js';

/** Which second output of the network a program reads. */
export type ProgramHead = 'npr' | 'sn' | 'learned';

const heads: readonly ProgramHead[] = ['npr', 'sn', 'learned'];

/** What a program's `head` may be. */
export const headKind: Kind = {
  expected: "'npr', 'sn', 'learned' or null",
  holds: (value) => value === null || heads.some((head) => head === value),
};

/** A sampler compiled to a table of numbers: native code runs it without coming back to JavaScript. */
export interface StepProgram {
  /** Tells it from a host program. */
  readonly kind: 'step';
  /** One record per step, in order. */
  readonly records: readonly StepRecord[];
  /** Length of the ring of past predictions, at most MAX_HISTORY. */
  readonly history: number;
  /** Standard deviation of the initial noise. */
  readonly initialScale: number;
  /** The second output the records read, null when they read none. */
  readonly head: ProgramHead | null;
  /** What the records take the network's output for, as a sampler's option `prediction`; absent: what the model's schedule says. */
  readonly prediction?: string | undefined;
}

/** A sampler that takes decisions while it runs, driven from TypeScript over named device tensors. */
export interface HostProgram {
  /** Tells it from a step program. */
  readonly kind: 'host';
  /** Standard deviation of the initial noise. */
  readonly initialScale: number;
  /** The second output that it reads, null for none. */
  readonly head: ProgramHead | null;
  /** Starts with the initial state in the tensor `x` and leaves the result there. */
  run(context: HostContext): Promise<void>;
}

/** What every sampler compiles to. */
export type Program = StepProgram | HostProgram;
