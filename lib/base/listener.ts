/** A function of the caller's, whose own error has to reach the caller as it is. */
export interface Listener<A extends unknown[]> {
  /** Calls the function; what it throws is thrown and kept. */
  call: (...args: A) => void;
  /** Throws what the function threw; to be called where work that called it has failed. */
  rethrow: () => void;
}

/**
 * Does work that calls listeners, and rejects with what one of them has thrown.
 *
 * @throws The listener's own error, or what `work` rejects with.
 */
export async function rethrowing<T>(
  listeners: readonly (Pick<Listener<never>, 'rethrow'> | null)[],
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    for (const listener of listeners) listener?.rethrow();
    throw error;
  }
}

/** A listener of a function; null where there is none. */
export function listenerOf<A extends unknown[]>(call: ((...args: A) => void) | undefined): Listener<A> | null {
  if (call === undefined) return null;
  let failure: { error: unknown } | null = null;
  return {
    call(...args) {
      try {
        call(...args);
      } catch (error) {
        failure ??= { error };
        throw error;
      }
    },
    rethrow() {
      if (failure !== null) throw failure.error;
    },
  };
}
