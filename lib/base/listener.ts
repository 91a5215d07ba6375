/** Wrapper of a caller's function, whose own error has to reach the caller unchanged. */
export interface Listener<A extends unknown[]> {
  /** Calls the function; an error is kept and thrown. */
  call: (...args: A) => void;
  /** Throws the kept error; to be called if work that used the function has failed. */
  rethrow: () => void;
}

/**
 * Does work that calls listeners; rejects with an error that one of them has thrown.
 *
 * @throws The listener's own error, or the error of `work`.
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

/** Makes a listener of a function; null if there is none. */
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
