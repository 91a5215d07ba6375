import type { MessagePort } from 'node:worker_threads';

import { abortable } from '../base/abort.js';
import { requireObject } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, kinds, requireKind } from '../base/option-kinds.js';
import { networkTimes } from '../engine/inputs.js';
import type { RunResult } from '../run/network-run.js';
import { runOptionKinds } from '../run/options.js';
import type { OptionsOfSampler, SamplerName } from '../samplers/index.js';
import type { BatchForwardOptions } from './batcher.js';
import type { BatchEvent } from './events.js';
import {
  portKind,
  receivedError,
  receivedImages,
  receivedResult,
  type Answer,
  type Question,
  type SentEvent,
} from './messages.js';
import type { BatcherCapacity } from './open-batches.js';
import type { BatchRunOptions, SchedulerBatchRequest } from './options.js';

type Unsent<Q> = Q extends Question ? Omit<Q, 'id'> : never;

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
  /** Function that receives messages before the answer. */
  watch?: ((answer: Answer) => void) | undefined;
}

/** Options that stay on this side of the port. */
const ownKinds = {
  signal: runOptionKinds.signal,
  onProgress: runOptionKinds.onProgress,
  onPreview: runOptionKinds.onPreview,
};

/** Checks options that stay on this side of the port. @throws {@link DpmError} `ERR_DPM_ARGUMENT`. */
function checkedRequest<T extends Partial<BatchRunOptions>>(request: T): T {
  requireObject('the request', request);
  const own = { signal: request.signal, onProgress: request.onProgress, onPreview: request.onPreview };
  checkOptions('the request', own, ownKinds);
  return request;
}

/** Batcher that runs in another thread. */
export class RemoteBatcher {
  /** Capacity of the batcher. */
  readonly capacity: BatcherCapacity;
  readonly #client: RemotePort;

  /** Made by {@link connectBatcher}. @internal */
  constructor(client: RemotePort, capacity: BatcherCapacity) {
    this.#client = client;
    this.capacity = capacity;
  }

  /**
   * Draws samples in the other thread, as `Batcher.sample` does.
   *
   * @throws {@link DpmError} The errors of `Batcher.sample`; `ERR_DPM_CLOSED` if the port is closed.
   */
  async sample<N extends SamplerName>(
    request: ({ sampler: N } & OptionsOfSampler<N> & BatchRunOptions) | SchedulerBatchRequest,
  ): Promise<RunResult> {
    const { signal, onProgress, onPreview, ...sent } = checkedRequest(request);
    const watches = { progress: onProgress !== undefined, previews: onPreview !== undefined };
    const watch = (answer: Answer): void => {
      if (answer.kind === 'progress') onProgress?.(answer.done, answer.total);
      if (answer.kind === 'preview') {
        onPreview?.(receivedImages(answer.images), { record: answer.record, first: answer.first });
      }
    };
    const answer = await this.#client.ask({ kind: 'sample', request: sent, watches }, signal, watch);
    if (answer.kind !== 'result') throw unexpected(answer);
    return receivedResult(answer.result);
  }

  /**
   * Runs one evaluation in the other thread, as `Batcher.forward` does.
   *
   * @throws {@link DpmError} The errors of `Batcher.forward`; `ERR_DPM_CLOSED` if the port is closed.
   */
  async forward(
    x: Float32Array,
    t: number | ArrayLike<number>,
    options: BatchForwardOptions = {},
  ): Promise<Float32Array> {
    requireKind('x', x, kinds.floats);
    requireKind('t', t, networkTimes);
    const { signal, ...others } = checkedRequest(options);
    const times =
      typeof t === 'number'
        ? t
        : Float32Array.from(Array.from(t), (time: unknown) => (typeof time === 'number' ? time : NaN));
    const answer = await this.#client.ask({ kind: 'forward', x, t: times, options: others }, signal);
    if (answer.kind !== 'prediction') throw unexpected(answer);
    return answer.out;
  }

  /**
   * Draws samples in the other thread and yields events, as `Batcher.stream` does; an event crosses the port on demand.
   *
   * @throws {@link DpmError} The errors of `Batcher.stream`; `ERR_DPM_CLOSED` if the port is closed.
   */
  async *stream<N extends SamplerName>(
    request:
      | ({ sampler: N } & OptionsOfSampler<N> & Omit<BatchRunOptions, 'onProgress' | 'onPreview'>)
      | SchedulerBatchRequest,
  ): AsyncGenerator<BatchEvent, void, void> {
    const { signal, ...sent } = checkedRequest(request);
    const id = this.#client.begin({ kind: 'stream', request: sent });
    try {
      for (;;) {
        const answer = await this.#client.ask({ kind: 'next' }, signal, undefined, id);
        if (answer.kind !== 'event') throw unexpected(answer);
        if (answer.event === null) return;
        yield receivedEvent(answer.event);
      }
    } finally {
      this.#client.leave(id);
    }
  }

  /** Closes the port; open requests reject with `ERR_DPM_CLOSED` and end in the other thread. Can be called again. */
  close(): void {
    this.#client.close();
  }
}

function unexpected({ kind }: Answer): DpmError {
  return new DpmError('ERR_DPM_INTERNAL', `the other thread answered with ${kind}`);
}

function receivedEvent(event: SentEvent): BatchEvent {
  return (event.image === undefined ? event : { ...event, image: receivedImages(event.image) }) as BatchEvent;
}

/** A batcher behind a port: sends it questions and receives the answers. */
class RemotePort {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #isClosed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (answer: Answer) => {
      this.#receive(answer);
    });
    port.on('close', () => {
      this.#end();
    });
    port.unref();
  }

  /** Sends a question that has no answer of its own; returns its number. */
  begin(question: Unsent<Question>): number {
    const id = this.#asked++;
    this.#send(question, id);
    return id;
  }

  async ask(
    question: Unsent<Question>,
    signal: AbortSignal | undefined,
    watch?: (answer: Answer) => void,
    id = this.#asked++,
  ): Promise<Answer> {
    return abortable(
      signal,
      () => {
        this.leave(id);
        this.#settle(id)?.reject(new DpmError('ERR_DPM_ABORTED', 'the work was aborted'));
      },
      () =>
        new Promise((resolve, reject) => {
          // A message that cannot be sent throws here, before anyone waits for its answer.
          this.#send(question, id);
          if (this.#waiting.size === 0) this.#port.ref();
          this.#waiting.set(id, { resolve, reject, watch });
        }),
    );
  }

  /** Tells the other side that the answer is no longer needed. */
  leave(id: number): void {
    if (!this.#isClosed) this.#port.postMessage({ kind: 'leave', id });
  }

  close(): void {
    this.#port.close();
    this.#end();
  }

  #send(question: Unsent<Question>, id: number): void {
    if (this.#isClosed) throw new DpmError('ERR_DPM_CLOSED', 'the port to the batcher is closed');
    try {
      this.#port.postMessage({ ...question, id });
    } catch (cause) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'the request holds what cannot be sent to another thread', { cause });
    }
  }

  #receive(answer: Answer): void {
    if (answer.kind === 'progress' || answer.kind === 'preview') {
      try {
        this.#waiting.get(answer.id)?.watch?.(answer);
      } catch (error) {
        this.leave(answer.id);
        this.#settle(answer.id)?.reject(error);
      }
      return;
    }
    const waiting = this.#settle(answer.id);
    if (answer.kind === 'error') waiting?.reject(receivedError(answer.error));
    else waiting?.resolve(answer);
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0 && !this.#isClosed) this.#port.unref();
    return waiting;
  }

  #end(): void {
    this.#isClosed = true;
    for (const waiting of this.#waiting.values()) {
      waiting.reject(new DpmError('ERR_DPM_CLOSED', 'the port to the batcher was closed'));
    }
    this.#waiting.clear();
  }
}

/**
 * Connects to a batcher in another thread, at the other end of a port of `exposeBatcher`: threads share one engine.
 *
 * @throws {@link DpmError} `ERR_DPM_CLOSED` if the port is closed.
 */
export async function connectBatcher(port: MessagePort): Promise<RemoteBatcher> {
  requireKind('the port', port, portKind);
  const client = new RemotePort(port);
  const answer = await client.ask({ kind: 'capacity' }, undefined);
  if (answer.kind !== 'capacity') throw unexpected(answer);
  return new RemoteBatcher(client, answer.capacity);
}
