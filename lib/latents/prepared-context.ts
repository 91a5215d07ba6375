import { at } from '../base/arrays.js';

/** Keys and values of contexts, which all evaluations with these contexts share. */
export class PreparedContext {
  /** Number of contexts. */
  readonly count: number;
  /** Number of tokens of a context. */
  readonly tokens: number;
  /** Network that made it. @internal */
  readonly network: object;
  /** Keys and values, [count, channels, tokens]. @internal */
  readonly data: Float32Array;

  /** @internal */
  constructor(network: object, count: number, tokens: number, data: Float32Array) {
    this.network = network;
    this.count = count;
    this.tokens = tokens;
    this.data = data;
  }
}

/** Joins contexts that one network made of as many tokens. @internal */
export function joinedContexts(contexts: readonly PreparedContext[]): PreparedContext {
  const first = at(contexts, 0);
  if (contexts.length === 1) return first;
  const { network, tokens } = first;
  const data = new Float32Array(contexts.reduce((sum, { data: { length } }) => sum + length, 0));
  let end = 0;
  for (const context of contexts) {
    data.set(context.data, end);
    end += context.data.length;
  }
  const count = contexts.reduce((sum, context) => sum + context.count, 0);
  return new PreparedContext(network, count, tokens, data);
}
