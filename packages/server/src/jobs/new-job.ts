import { DpmError, guidedRows } from 'dpm-native';

import { paramOf, ServerError } from '../base/problem.js';
import type { ServedModel, ServedPixels } from '../models/served.js';
import { requireTexts } from '../samples/prompt-fields.js';
import { wrong } from '../samples/wrong.js';
import { optionsOf, samplingOf, seedOf, type Sampling } from '../samples/sample-request.js';
import type { Client } from '../base/client.js';
import type { CarriedTrace } from '../observe/tracing.js';
import { engineClass } from './engine-class.js';
import { chunkCount, chunkRequest, chunkSize, hashOf, MOST_CHUNKS, type Job, type JobBody } from './job.js';

const MOST_STREAMS = 2 ** 32;
/** The most seconds of a whole batch that a request may take, as `maxWork` of batches. */
const MOST_SECONDS = 600;

/** Counts the network evaluations of a sample; 0 where they are not known before the run. */
function evaluationsOf(body: JobBody, { sampler, served }: Sampling): number {
  const program =
    served.kind === 'pixels'
      ? served.model.program({ sampler, ...optionsOf(sampler, body) })
      : served.model.program({ sampler, ...optionsOf(sampler, body, null) });
  return program.kind === 'step' ? program.records.reduce((sum, { evaluate }) => sum + (evaluate ? 1 : 0), 0) : 0;
}

/**
 * Lets the library check a field of a body.
 *
 * @throws {@link ServerError} as the library does, naming the field.
 */
function found<T>(field: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof DpmError)) throw error;
    const { code, message } = error;
    throw new ServerError(code, message, { param: paramOf(message) ?? field, cause: error });
  }
}

function requireLabels({ classLabels, count }: JobBody, { model }: ServedPixels): void {
  const [labels, samples] = typeof classLabels === 'number' ? [[classLabels], 1] : [classLabels, count];
  found('classLabels', () => model.unet.labels(labels, samples));
}

/** The rows of each evaluation of the network, as the capacity of the batch counts them: of a pipeline a guided sample is one. */
function rowsOf({ count, guidance, unconditionalLabel }: JobBody, served: ServedModel): number {
  if (served.kind === 'prompts') {
    const { unet, defaults } = served.model;
    const weights = Array.isArray(guidance) ? guidance : [guidance ?? defaults.guidance];
    const rows = weights.map((weight) => (weight > 1 || unet.seesGuidance ? 1 : 0.5));
    return (rows.reduce((sum, each) => sum + each, 0) * count) / rows.length;
  }
  const { model } = served;
  return found('guidance', () => guidedRows(model.unet.info, { count, guidance, unconditionalLabel }));
}

function requireSizes(body: JobBody, rows: number, { served: { batcher }, shape }: Sampling): void {
  const chunks = chunkCount({ body });
  if (chunks > MOST_CHUNKS) {
    throw wrong('chunk', `is ${chunkSize(body)}: ${chunks} chunks are more than ${MOST_CHUNKS} of a job`);
  }
  if ((body.first ?? 0) + body.count > MOST_STREAMS)
    throw wrong('first', 'and count are more than 2^32 samples of a seed');
  const seconds = rows / chunks / batcher.capacity.rowsPerSecond;
  if (seconds > MOST_SECONDS) {
    throw wrong('chunk', `takes ${Math.ceil(seconds)} s of the whole batch, at most ${MOST_SECONDS}: make it smaller`);
  }
  const [channels] = shape;
  if (body.format === 'png' && channels !== 1 && channels !== 3) {
    throw new ServerError('ERR_DPM_UNSUPPORTED', `format png is for 1 or 3 channels, the model has ${channels}`, {
      param: 'format',
    });
  }
}

/** The parts of a new job beside its body. */
export interface NewJob {
  id: string;
  client: Client;
  /** The W3C trace context of the request. */
  trace: CarriedTrace;
}

/**
 * Makes the job that a body asks for. All faults are found here, as no client waits for the chunks.
 *
 * @throws {@link ServerError} and `DpmError` naming the field that is wrong.
 */
export function newJob(body: JobBody, served: ServedModel, { id, client, trace }: NewJob): Job {
  const [black, white] = served.model.range;
  if (served.kind === 'pixels') requireLabels(body, served);
  requireTexts('prompt', body.prompt, body.count);
  requireTexts('negativePrompt', body.negativePrompt, body.count);
  const evaluationRows = rowsOf(body, served);
  const sampling = samplingOf(chunkRequest({ body }, 0), served, { client, isStream: false });
  const rows = evaluationRows * evaluationsOf(body, sampling);
  requireSizes(body, rows, sampling);
  const [channels, height, width] = sampling.shape;
  return {
    id,
    tenant: client.name,
    weight: client.weight,
    createdAt: new Date().toISOString(),
    digest: served.digest,
    engine: body.engine === 'any' ? 'any' : engineClass(served),
    asked: hashOf([body, served.digest]),
    // Requests whose client waits go first, unless the job says otherwise.
    body: { ...body, seed: String(seedOf(body.seed)), priority: body.priority ?? 'low' },
    shape: [channels, height, width],
    range: [black, white],
    rows,
    trace: { ...trace },
  };
}
