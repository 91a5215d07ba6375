// Bodies of a server's requests: samples, jobs and inference in its binary form.
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { jobBodySchema, type JobBody } from '../../../packages/server/src/jobs/job.js';
import { inferenceOf } from '../../../packages/server/src/apis/kserve/bodies/inference.js';
import { samplingOf, sampleSchema, type SampleBody } from '../../../packages/server/src/samples/sample-request.js';
import type { Client } from '../../../packages/server/src/base/client.js';
import { mismatchOf } from '../../../packages/server/src/base/schema.js';
import { parsedJson } from '../../../packages/server/src/base/json.js';
import { takenOrRefused } from '../refused.js';

const schedule = NoiseSchedule.linear();
const served = {
  kind: 'pixels',
  model: { unet: { info: { classes: 10 } }, sampleShape: [1, 2, 2], schedule },
} as unknown as Parameters<typeof samplingOf>[1];
const client = { name: 'a', weight: 1, scopes: new Set(['sample']) } as unknown as Client;

/** Bodies that the schema accepts have to be requests. */
function sampled(json: unknown): void {
  if (mismatchOf(sampleSchema, json) !== undefined) return;
  const { count, seed } = samplingOf(json as SampleBody, served, { client, isStream: true });
  if (!Number.isSafeInteger(count) || seed < 0n || seed >= 1n << 64n) throw new Error(`count ${count}, seed ${seed}`);
}

function job(json: unknown): void {
  if (mismatchOf(jobBodySchema, json) !== undefined) return;
  const { count } = json as JobBody;
  if (!(count >= 1)) throw new Error(`count ${count}`);
}

export async function fuzz(data: Buffer): Promise<void> {
  const [kind = 0, low = 0, high = 0] = data;
  const bytes = new Uint8Array(data.subarray(3));
  if (kind % 3 === 0) {
    await takenOrRefused(() => inferenceOf({ bytes, jsonLength: Math.min(bytes.length, low + 256 * high) }));
    return;
  }
  await takenOrRefused(() => {
    (kind % 3 === 1 ? sampled : job)(parsedJson(bytes));
  });
}
