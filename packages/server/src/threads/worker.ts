import { move, transferableSymbol, valueSymbol } from 'piscina';

import { type Outcome, outcomeOf, type Task } from './tasks.js';

/** Buffers that the other thread can have without a copy. Those of bytes may be parts of Node's own. */
function transferable(outcome: Outcome): ArrayBuffer[] {
  if ('refused' in outcome || outcome.result instanceof Uint8Array) return [];
  return outcome.result.tensors.map(({ values }) => values.buffer);
}

/** What a thread of the pool does. */
export default function work(task: Task): object {
  const outcome = outcomeOf(task);
  return move({ [valueSymbol]: outcome, [transferableSymbol]: transferable(outcome) });
}
