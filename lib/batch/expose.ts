import type { MessagePort } from 'node:worker_threads';

import { requireObject } from '../base/checks.js';
import { requireKind } from '../base/option-kinds.js';
import type { BatchEvent } from './events.js';
import {
  handedOver,
  portKind,
  sentError,
  sentImages,
  sentResult,
  type Answer,
  type Question,
  type SentEvent,
} from './messages.js';
import type { BatchRequest } from './options.js';
import type { BatchService } from './replicas.js';

/** A batcher for the client at the other end of a port, with the requests of it that run. */
class ExposedPort {
  readonly #batcher: BatchService;
  readonly #port: MessagePort;
  readonly #running = new Map<number, AbortController>();
  readonly #streams = new Map<number, AsyncGenerator<BatchEvent, void, void>>();
  /** Numbers of the streams whose images are grey levels. */
  readonly #levels = new Set<number>();

  constructor(batcher: BatchService, port: MessagePort) {
    this.#batcher = batcher;
    this.#port = port;
  }

  /** Answers until the port is closed. */
  listen(): void {
    const port = this.#port;
    port.on('message', (question: Question | null) => {
      if (typeof question !== 'object' || question === null) return;
      this.#answer(question).catch((error: unknown) => {
        this.#send({ kind: 'error', id: question.id, error: sentError(error) });
      });
    });
    port.on('close', () => {
      for (const id of this.#running.keys()) this.#leave(id);
    });
  }

  async #answer(question: Question): Promise<void> {
    const { id } = question;
    switch (question.kind) {
      case 'capacity':
        this.#send({ kind: 'capacity', id, capacity: this.#batcher.capacity });
        break;
      case 'sample':
        await this.#sample(question);
        break;
      case 'forward': {
        const { x, t, options } = question;
        requireObject('options', options);
        const prediction = this.#during(id, (signal) => this.#batcher.forward(x, t, { ...options, signal }));
        const out = (await prediction).slice();
        this.#send({ kind: 'prediction', id, out }, [out.buffer]);
        break;
      }
      case 'stream':
        this.#begin(id, question.request);
        break;
      case 'next':
        await this.#next(id);
        break;
      case 'leave':
        this.#leave(id);
        break;
    }
  }

  async #sample({ id, request, watches }: Question & { kind: 'sample' }): Promise<void> {
    // A string, if spread, has a property for each of its characters.
    requireObject('request', request);
    requireObject('watches', watches);
    const levels = (request as BatchRequest).format === 'uint8';
    const listeners = {
      ...(watches.progress && {
        onProgress: (done: number, total: number) => {
          this.#send({ kind: 'progress', id, done, total });
        },
      }),
      ...(watches.previews && {
        onPreview: (shown: Parameters<typeof sentImages>[0], { record, first }: { record: number; first: number }) => {
          const images = sentImages(shown, levels);
          this.#send({ kind: 'preview', id, images, record, first }, handedOver(images));
        },
      }),
    };
    const result = await this.#during(id, (signal) => this.#batcher.sample({ ...request, ...listeners, signal }));
    const sent = sentResult(result, levels);
    const all = [sent.images, ...sent.snapshots.map(({ images }) => images)];
    this.#send({ kind: 'result', id, result: sent }, handedOver(...all));
  }

  async #during<T>(id: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      return await work(controller.signal);
    } finally {
      this.#running.delete(id);
    }
  }

  #begin(id: number, request: BatchRequest): void {
    requireObject('request', request);
    const controller = new AbortController();
    this.#streams.set(id, this.#batcher.stream({ ...request, signal: controller.signal }));
    this.#running.set(id, controller);
    if (request.format === 'uint8') this.#levels.add(id);
  }

  async #next(id: number): Promise<void> {
    const stream = this.#streams.get(id);
    const event = stream === undefined ? undefined : await stream.next();
    if (event === undefined || event.done === true) {
      this.#forget(id);
      this.#send({ kind: 'event', id, event: null });
      return;
    }
    const sent = sentEvent(event.value, this.#levels.has(id));
    this.#send({ kind: 'event', id, event: sent }, sent.image === undefined ? [] : handedOver(sent.image));
  }

  #leave(id: number): void {
    this.#running.get(id)?.abort();
    // The result of an ended stream is ignored.
    this.#streams
      .get(id)
      ?.return()
      .catch(() => undefined);
    this.#forget(id);
  }

  #forget(id: number): void {
    this.#running.delete(id);
    this.#streams.delete(id);
    this.#levels.delete(id);
  }

  #send(answer: Answer, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(answer, transfer);
  }
}

function sentEvent(event: BatchEvent, levels: boolean): SentEvent {
  return 'image' in event ? { ...event, image: sentImages(event.image, levels) } : event;
}

/**
 * Lets another thread use a batcher; the other end of the port is for `connectBatcher`. A client's requests end when
 * its port closes. Each port serves one client; a batcher can have many.
 *
 * @example
 * ```ts
 * const { port1, port2 } = new MessageChannel();
 * exposeBatcher(batcher, port1);
 * worker.postMessage({ port: port2 }, [port2]);
 * ```
 */
export function exposeBatcher(batcher: BatchService, port: MessagePort): void {
  requireKind('the port', port, portKind);
  new ExposedPort(batcher, port).listen();
}
