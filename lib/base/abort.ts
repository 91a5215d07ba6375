import { DpmError } from './errors.js';

/** Makes the error of an aborted promise; its `cause` is the signal's reason. */
export function abortError(signal: AbortSignal): DpmError {
  return new DpmError('ERR_DPM_ABORTED', 'the work was aborted', { cause: signal.reason });
}

/** Checks a signal. @throws {@link DpmError} `ERR_DPM_ABORTED` if `signal` is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

/** Combines two signals: aborts with the first or, if given, with the second. */
export function eitherSignal(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? one : AbortSignal.any([one, other]);
}

/**
 * Runs `work` and calls `cancel` if `signal` aborts meanwhile. An error of `work` is then reported as
 * `ERR_DPM_ABORTED`; otherwise it passes unchanged, as functions of the caller may have thrown it. The listener is
 * removed when the work is over.
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
 * Waits for the result of `work`; rejects with `ERR_DPM_ABORTED` as soon as `signal` aborts. Work that cannot be
 * stopped, such as a caller's function, then goes on and its result is ignored.
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
