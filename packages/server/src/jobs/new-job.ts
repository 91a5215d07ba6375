import { ServerError } from '../problem.js';
import type { ServedModel } from '../registry.js';
import { optionsOf, requireLength, samplingOf, seedOf, wrong, type Sampling } from '../sample-request.js';
import type { Client } from '../tokens.js';
import type { CarriedTrace } from '../tracing.js';
import { engineClass } from './engine-class.js';
import { chunkCount, chunkRequest, chunkSize, hashOf, isUnguided, MOST_CHUNKS, type Job, type JobBody } from './job.js';

const MOST_STREAMS = 2 ** 32;
/** Seconds of a whole batch that a request may take: `maxWork` of batches. */
const MOST_SECONDS = 600;

/** Network evaluations of a sample; 0: its run alone tells. */
function evaluationsOf(body: JobBody, { sampler, served: { model } }: Sampling): number {
  const program = model.program({ sampler, ...optionsOf(sampler, body) });
  return program.kind === 'step' ? program.records.reduce((sum, { evaluate }) => sum + (evaluate ? 1 : 0), 0) : 0;
}

/** Samples that are evaluated twice count twice. */
function rowsOf({ count, guidance = 1 }: JobBody): number {
  const isGuided = (weight: number): boolean => weight !== 0 && weight !== 1;
  if (!Array.isArray(guidance)) return isGuided(guidance) ? 2 * count : count;
  return guidance.reduce((sum, weight) => sum + (isGuided(weight) ? 2 : 1), 0);
}

function requireLabels({ classLabels, count }: JobBody, { model }: ServedModel): void {
  requireLength('classLabels', classLabels, count);
  const { classes } = model.unet.info;
  if (classLabels === undefined && classes > 0) throw wrong('classLabels', `are missing: there are ${classes} classes`);
  const label = [classLabels ?? []].flat().find((each) => each >= classes);
  if (label !== undefined && classes > 0)
    throw wrong('classLabels', `has ${label}, the classes are 0 to ${classes - 1}`);
}

function requireGuidance({ guidance = 1, unconditionalLabel, count }: JobBody, { model }: ServedModel): void {
  requireLength('guidance', guidance, count);
  const { classes } = model.unet.info;
  const weights = [guidance].flat();
  const bad = weights.find((weight) => !Number.isFinite(Math.fround(weight)));
  if (bad !== undefined) throw wrong('guidance', `has ${bad}, which is too large`);
  if (isUnguided(guidance)) {
    if (unconditionalLabel !== undefined) throw wrong('unconditionalLabel', 'is for guidance other than 1');
    return;
  }
  if (classes === 0) throw wrong('guidance', 'is for networks with classes');
  if (typeof unconditionalLabel === 'number' && unconditionalLabel >= classes) {
    throw wrong('unconditionalLabel', `is ${unconditionalLabel}, the classes are 0 to ${classes - 1}`);
  }
}

function requireSizes(body: JobBody, rows: number, { batcher, model }: ServedModel): void {
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
  const [channels] = model.sampleShape;
  if (body.format === 'png' && channels !== 1 && channels !== 3) {
    throw new ServerError('ERR_DPM_UNSUPPORTED', `format png is for 1 or 3 channels, the model has ${channels}`, {
      param: 'format',
    });
  }
}

/** What stands around the body of a new job. */
export interface NewJob {
  id: string;
  client: Client;
  /** W3C context of the request. */
  trace: CarriedTrace;
}

/**
 * A job that a body asks for. What is wrong with it is found here, as nobody waits for its chunks.
 *
 * @throws {@link ServerError} and `DpmError` naming the field that is wrong.
 */
export function newJob(body: JobBody, served: ServedModel, { id, client, trace }: NewJob): Job {
  const [channels, height, width] = served.model.sampleShape;
  const [black, white] = served.model.range;
  requireLabels(body, served);
  requireGuidance(body, served);
  const sampling = samplingOf(chunkRequest({ body }, 0), served, client, false);
  const rows = rowsOf(body) * evaluationsOf(body, sampling);
  requireSizes(body, rows, served);
  return {
    id,
    tenant: client.name,
    weight: client.weight,
    createdAt: new Date().toISOString(),
    digest: served.digest,
    engine: body.engine === 'any' ? 'any' : engineClass(served),
    asked: hashOf([body, served.digest]),
    // Whoever waits for an answer goes first, unless the job says otherwise.
    body: { ...body, seed: String(seedOf(body.seed)), priority: body.priority ?? 'low' },
    shape: [channels, height, width],
    range: [black, white],
    rows,
    trace: { ...trace },
  };
}
