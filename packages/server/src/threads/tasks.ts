import { encoded, type Encoding, sentImages } from '../samples/encode.js';
import { imageOfChunk, type ImageInChunk } from '../jobs/sample-of-chunk.js';
import { type Inference, type InferenceBody, inferenceOf } from '../apis/kserve/bodies/inference.js';
import { type Outputs, textOf } from '../apis/kserve/bodies/outputs.js';
import { ServerError } from '../base/problem.js';

/** What takes too long for the event loop. */
export type Task =
  | { kind: 'images'; encoding: Encoding }
  | { kind: 'image'; image: ImageInChunk }
  | { kind: 'inference'; body: InferenceBody }
  | { kind: 'outputs'; outputs: Outputs };

/** What comes of a task, by its kind. */
export interface Results {
  images: Uint8Array;
  image: Uint8Array;
  inference: Inference;
  outputs: Uint8Array;
}

/** An error of a request as it crosses to another thread, which would make an error of no class of it. */
export type Refusal = Pick<ServerError, 'code' | 'message' | 'param'>;

/** What a thread gives back. */
export type Outcome = { result: Results[Task['kind']] } | { refused: Refusal };

/** Does it. */
export function done(task: Task): Results[Task['kind']] {
  switch (task.kind) {
    case 'images':
      return encoded(task.encoding);
    case 'image':
      return encoded({ form: 'image/png', images: sentImages(imageOfChunk(task.image), 'u8') });
    case 'inference':
      return inferenceOf(task.body);
    case 'outputs':
      return textOf(task.outputs);
  }
}

/** Does it; an error of the request is a result. */
export function outcomeOf(task: Task): Outcome {
  try {
    return { result: done(task) };
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    const { code, message, param } = error;
    return { refused: { code, message, param } };
  }
}

/** What came of it. */
export function resultOf(outcome: Outcome): Results[Task['kind']] {
  if ('result' in outcome) return outcome.result;
  const { code, message, param } = outcome.refused;
  throw new ServerError(code, message, { ...(param !== undefined && { param }) });
}
