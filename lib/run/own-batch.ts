import { untilAborted } from '../base/abort.js';
import { nativeWork } from '../base/errors.js';
import type {
  NativeBatch,
  NativeBatchOptions,
  NativeQuestion,
  NativeRequestBatch,
  NativeRunRequest,
  NativeRunResult,
} from '../engine/binding.js';
import { isGuided } from '../guidance/classifier-free.js';
import type { RunNetwork } from './resolve.js';

/** Answer of a function. */
export interface Answer {
  values: Float32Array;
  /** The second output of a prediction. */
  head: Float32Array | null;
}

/** Maximum number of failed steps that are remembered until their requests ask for the errors. */
const MOST_FAILURES = 64;

/**
 * Opens a batch that calls functions; an error of theirs becomes the rejection of the step's requests.
 *
 * @param open - Opens the batch with the function that receives its questions.
 */
export async function askingBatch(
  open: (onQuestion: (question: NativeQuestion) => void) => Promise<NativeBatch>,
  answer: (question: NativeQuestion) => Promise<Answer>,
): Promise<NativeRequestBatch> {
  /** Errors of steps whose function failed, by the message that ended their requests. */
  const failures = new Map<string, unknown>();
  let failed = 0;
  const reply = async (question: NativeQuestion): Promise<void> => {
    try {
      const { values, head } = await answer(question);
      await nativeWork(() => batch.answer(values, head));
    } catch (error) {
      const name = `failure ${failed++} of a function that a batch asked`;
      failures.set(name, error);
      const [oldest] = failures.keys();
      if (failures.size > MOST_FAILURES && oldest !== undefined) failures.delete(oldest);
      // A batch that was closed meanwhile waits for nothing.
      await batch.abandon(name).catch(() => undefined);
    }
  };
  const batch = await nativeWork(() => open((question) => void reply(question)));
  return {
    bytes: batch.bytes,
    submit: async (request) => {
      try {
        return await nativeWork(() => batch.submit(request));
      } catch (error) {
        throw error instanceof Error && failures.has(error.message) ? failures.get(error.message) : error;
      }
    },
    stats: () => batch.stats(),
    close: () => batch.close(),
  };
}

/** Computes the size of the batch that a request has for itself. */
export function ownBatchSize({ batch, sampleProgram, guidance }: NativeRunRequest): NativeBatchOptions {
  const slots = Math.min(batch, sampleProgram.length);
  const rows = guidance?.some(isGuided) === true ? 2 * slots : slots;
  return { rows, slots, fit: false, whole: false, weight: 1 };
}

/**
 * Runs a request in a batch of its own, which is closed afterwards.
 *
 * @param owner - The network, or the device of a function. Closing it ends the wait at once, as `signal` does, even
 * while the engine is busy.
 */
export async function runInOwnBatch(
  owner: Pick<RunNetwork, 'whileOpen'>,
  open: () => Promise<NativeRequestBatch>,
  request: NativeRunRequest,
  signal?: AbortSignal,
): Promise<NativeRunResult> {
  const run = async (): Promise<NativeRunResult> => {
    const batch = await open();
    try {
      return await batch.submit({
        ...request,
        priority: 0,
        keys: Float64Array.from(request.sampleProgram, (_, sample) => sample),
        mostQueued: Infinity,
        previewsRows: true,
        dataPredictions: null,
        onImage: null,
      });
    } finally {
      await batch.close();
    }
  };
  return untilAborted(signal, () => owner.whileOpen(run));
}
