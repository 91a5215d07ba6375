import { type Compiled, compileTask, type CompileTask, DpmError, ImageBatch } from 'dpm-native';

import { encoded, type Encoding, sentImages, type SentImages } from '../samples/encode.js';
import type { EncodedPicture } from '../samples/pictures.js';
import { imageOfChunk, type ImageInChunk } from '../jobs/sample-of-chunk.js';
import { type Inference, type InferenceBody, inferenceOf } from '../apis/kserve/bodies/inference.js';
import { type Outputs, textOf } from '../apis/kserve/bodies/outputs.js';
import { ServerError } from '../base/problem.js';

/** A task that may take too long for the event loop. */
export type Task =
  | { kind: 'images'; encoding: Encoding }
  | { kind: 'image'; image: ImageInChunk }
  | { kind: 'inference'; body: InferenceBody }
  | { kind: 'outputs'; outputs: Outputs }
  | { kind: 'picture'; picture: EncodedPicture }
  | { kind: 'program'; program: CompileTask };

/** The results of tasks by their kinds. */
export interface Results {
  images: Uint8Array;
  image: Uint8Array;
  inference: Inference;
  outputs: Uint8Array;
  picture: SentImages;
  program: Compiled;
}

/** An error of a request in a form that can be sent to another thread. An error itself would lose its class. */
export type Refusal = Pick<ServerError, 'code' | 'message' | 'param'>;

/** The answer of a thread. */
export type Outcome = { result: Results[Task['kind']] } | { refused: Refusal };

/** Decodes a picture. @throws {@link ServerError} naming its field. */
async function decoded({ bytes, isMask, mostPixels, param }: EncodedPicture): Promise<SentImages> {
  try {
    const image = isMask
      ? await ImageBatch.decodeMask(bytes, { mostPixels })
      : await ImageBatch.decode(bytes, { mostPixels });
    return { values: image.data, shape: image.shape, range: image.range };
  } catch (error) {
    if (!(error instanceof DpmError)) throw error;
    throw new ServerError('ERR_DPM_ARGUMENT', `${param}: ${error.message}`, { param });
  }
}

/** Does a task. */
export async function done(task: Task): Promise<Results[Task['kind']]> {
  switch (task.kind) {
    case 'images':
      return encoded(task.encoding);
    case 'image':
      return encoded({ form: 'image/png', images: sentImages(imageOfChunk(task.image), 'u8') });
    case 'inference':
      return inferenceOf(task.body);
    case 'outputs':
      return textOf(task.outputs);
    case 'picture':
      return decoded(task.picture);
    case 'program':
      return compileTask(task.program);
  }
}

/** Does a task. An error of the request becomes a result. */
export async function outcomeOf(task: Task): Promise<Outcome> {
  try {
    return { result: await done(task) };
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    const { code, message, param } = error;
    return { refused: { code, message, param } };
  }
}

/** Reads the answer of a thread, and throws the error that it has. */
export function resultOf(outcome: Outcome): Results[Task['kind']] {
  if ('result' in outcome) return outcome.result;
  const { code, message, param } = outcome.refused;
  throw new ServerError(code, message, { ...(param !== undefined && { param }) });
}
