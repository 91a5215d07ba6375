// Form in which calls are written down.
import type { PublicCall } from '../attack.js';

export type Any = (...args: unknown[]) => unknown;

/**
 * A call with arguments that it accepts.
 *
 * @param name - The export's, with its class, and behind a colon what else there is to tell.
 * @param options - Names in an argument whose call does not tell them where it is given an unknown one.
 */
export function of(name: string, call: unknown, args: readonly unknown[], options?: PublicCall['options']): PublicCall {
  return { name, call: call as Any, args, ...(options && { options }) };
}
