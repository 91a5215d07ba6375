import { abortable } from '../base/abort.js';
import { native } from './addon.js';
import type { NativeCancelToken } from './binding.js';

/** Runs work that takes a token of the addon, which is cancelled when the signal aborts, as {@link abortable} does. */
export function cancellable<T>(
  signal: AbortSignal | undefined,
  work: (cancel: NativeCancelToken) => Promise<T>,
): Promise<T> {
  const { CancelToken } = native();
  const cancel = new CancelToken();
  const stop = (): void => {
    cancel.cancel();
  };
  return abortable(signal, stop, () => work(cancel));
}
