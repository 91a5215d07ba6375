import { DpmError, dpmErrorCodes, type DpmErrorCode } from '../base/errors.js';
import { isObject, type Kind } from '../base/option-kinds.js';
import type { PixelRange } from '../base/pixel-range.js';
import { ImageBatch } from '../images/image-batch.js';
import type { ImageShape } from '../images/layout.js';
import type { RunResult } from '../run/network-run.js';
import type { BatcherCapacity } from './open-batches.js';
import type { BatchEvent } from './events.js';

/** Message from a client of a port. */
export type Question =
  | { kind: 'capacity'; id: number }
  | { kind: 'sample'; id: number; request: object; watches: { progress: boolean; previews: boolean } }
  | { kind: 'forward'; id: number; x: Float32Array; t: number | Float32Array; options: object }
  | { kind: 'stream'; id: number; request: object }
  /** Request for the next event of a stream. */
  | { kind: 'next'; id: number }
  /** Notice that the client no longer waits. */
  | { kind: 'leave'; id: number };

/** Images as a message; the memory of their numbers is transferred. */
export interface SentImages {
  values: Float32Array | Uint8Array;
  shape: ImageShape;
  range: PixelRange;
}

export interface SentResult {
  images: SentImages;
  snapshots: { record: number; images: SentImages }[];
}

/** An event whose image is a message. */
export type SentEvent = Omit<BatchEvent, 'image'> & { image?: SentImages };

export interface SentError {
  code: string;
  message: string;
  retryAfterMs?: number | undefined;
}

/** Message to a client. */
export type Answer =
  | { kind: 'capacity'; id: number; capacity: BatcherCapacity }
  | { kind: 'result'; id: number; result: SentResult }
  | { kind: 'prediction'; id: number; out: Float32Array }
  /** Next event; null if there are no more. */
  | { kind: 'event'; id: number; event: SentEvent | null }
  | { kind: 'progress'; id: number; done: number; total: number }
  | { kind: 'preview'; id: number; images: SentImages; record: number; first: number }
  | { kind: 'error'; id: number; error: SentError };

/** Copies images, as they are stored, into arrays of their own. */
export function sentImages(images: ImageBatch, levels: boolean): SentImages {
  const values = levels ? images.toUint8() : images.data.slice();
  return { values, shape: images.shape, range: images.range };
}

export function receivedImages({ values, shape, range }: SentImages): ImageBatch {
  return new ImageBatch(values, shape, range);
}

export function sentResult({ images, snapshots }: RunResult, levels: boolean): SentResult {
  return {
    images: sentImages(images, levels),
    snapshots: snapshots.map(({ record, images: kept }) => ({ record, images: sentImages(kept, levels) })),
  };
}

export function receivedResult({ images, snapshots }: SentResult): RunResult {
  return {
    images: receivedImages(images),
    snapshots: snapshots.map(({ record, images: kept }) => ({ record, images: receivedImages(kept) })),
  };
}

/** Lists the memory of sent images, which the receiver takes over. */
export function handedOver(...images: readonly SentImages[]): ArrayBuffer[] {
  return images.map(({ values }) => values.buffer as ArrayBuffer);
}

export function sentError(error: unknown): SentError {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof DpmError)) return { code: 'ERR_DPM_INTERNAL', message };
  return { code: error.code, message, retryAfterMs: error.retryAfterMs };
}

export function receivedError({ code, message, retryAfterMs }: SentError): DpmError {
  const known = dpmErrorCodes.find((each): each is DpmErrorCode => each === code);
  return new DpmError(known ?? 'ERR_DPM_INTERNAL', message, { retryAfterMs });
}

/** Kind of a port, of any realm and implementation. */
export const portKind: Kind = {
  expected: 'a MessagePort or a Worker',
  holds: (value) =>
    isObject(value) &&
    ['on', 'postMessage'].every((name) => typeof (value as Record<string, unknown>)[name] === 'function'),
};
