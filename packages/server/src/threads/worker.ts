import { move, transferableSymbol, valueSymbol } from 'piscina';

import { type Outcome, outcomeOf, type Task } from './tasks.js';

/** The buffers that can move to the other thread without a copy. Buffers of bytes cannot, as they may be part of Node's pool. */
function transferable(outcome: Outcome): ArrayBuffer[] {
  if ('refused' in outcome || outcome.result instanceof Uint8Array) return [];
  if ('values' in outcome.result) return [outcome.result.values.buffer as ArrayBuffer];
  return 'tensors' in outcome.result ? outcome.result.tensors.map(({ values }) => values.buffer) : [];
}

/** Does a task in a thread of the pool. */
export default async function work(task: Task): Promise<object> {
  const outcome = await outcomeOf(task);
  return move({ [valueSymbol]: outcome, [transferableSymbol]: transferable(outcome) });
}
