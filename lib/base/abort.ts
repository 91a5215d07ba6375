import { DpmError } from './errors.js';

/** The error an aborted promise rejects with; its `cause` is the signal's reason. */
export function abortError(signal: AbortSignal): DpmError {
  return new DpmError('ERR_DPM_ABORTED', 'the work was aborted', { cause: signal.reason });
}

/** @throws {@link DpmError} `ERR_DPM_ABORTED` when `signal` is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

/** Aborts with the one or with the other, where that is given. */
export function eitherSignal(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? one : AbortSignal.any([one, other]);
}

/**
 * Runs `work` and calls `cancel` when `signal` aborts meanwhile. Whatever `work` then rejects with is reported as
 * `ERR_DPM_ABORTED`; otherwise its error passes unchanged, as functions of the caller may have thrown it. The listener is removed
 * when the work is over.
 */
export async function abortable<T>(
  signal: AbortSignal | undefined,
  cancel: () => void,
  work: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await work();
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/**
 * What `work` comes to, or `ERR_DPM_ABORTED` as soon as `signal` aborts: work that nobody can stop, such as a function of the
 * caller's, is left alone then, and what becomes of it is nobody's concern.
 */
export async function untilAborted<T>(signal: AbortSignal | undefined, work: () => T | Promise<T>): Promise<T> {
  if (signal === undefined) return work();
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      reject(abortError(signal));
    };
    abortable(signal, stop, async () => work()).then(resolve, reject);
  });
}
