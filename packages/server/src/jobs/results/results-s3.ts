import type * as sdk from '@aws-sdk/client-s3';
import { DpmError } from 'dpm-native';

import { optional } from '../../base/optional.js';
import { forEachOf } from '../files/each-of.js';
import { isWhole, sha256Of } from '../files/sha256.js';
import type { Results } from './results.js';

type Sdk = typeof sdk;

/** The status of S3's answer; undefined where there was no answer. */
function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

/** The result of a request; undefined where the object is missing. */
async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** The number of objects that are removed at once. */
const AT_ONCE = 16;

/** Samples in a bucket of S3, or of a server that speaks S3. */
class S3Results implements Results {
  readonly #sdk: Sdk;
  readonly #client: sdk.S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(sdk: Sdk, client: sdk.S3Client, { hostname, pathname }: URL) {
    this.#sdk = sdk;
    this.#client = client;
    this.#bucket = hostname;
    this.#prefix = pathname.replace(/^\/+|\/+$/g, '');
  }

  #place(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix === '' ? key : `${this.#prefix}/${key}` };
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const { PutObjectCommand } = this.#sdk;
    const Metadata = { sha256: await sha256Of(bytes) };
    try {
      await this.#client.send(new PutObjectCommand({ ...this.#place(key), Body: bytes, Metadata, IfNoneMatch: '*' }));
    } catch (error) {
      // Another worker has put the same bytes there.
      if (statusOf(error) !== 412) throw error;
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const { DeleteObjectCommand, GetObjectCommand } = this.#sdk;
    const answer = await unlessMissing(this.#client.send(new GetObjectCommand(this.#place(key))));
    const bytes = await answer?.Body?.transformToByteArray();
    if (bytes === undefined) return undefined;
    if (await isWhole(bytes, answer?.Metadata?.sha256)) return bytes;
    // Without it a retry finds that the bytes are missing. A server that may only read cannot help there.
    await this.#client.send(new DeleteObjectCommand(this.#place(key))).catch(() => undefined);
    return undefined;
  }

  async has(key: string): Promise<boolean> {
    const { HeadObjectCommand } = this.#sdk;
    return (await unlessMissing(this.#client.send(new HeadObjectCommand(this.#place(key))))) !== undefined;
  }

  async remove(keys: readonly string[]): Promise<void> {
    const { DeleteObjectCommand } = this.#sdk;
    await forEachOf(keys, AT_ONCE, async (key) => {
      await unlessMissing(this.#client.send(new DeleteObjectCommand(this.#place(key))));
    });
  }

  close(): void {
    this.#client.destroy();
  }
}

/**
 * Opens a bucket, `s3://bucket/prefix`. Parameters `endpoint` and `region` go before those of the environment. Credentials come from the
 * environment, as for other programs of AWS.
 *
 * @throws {@link DpmError} `ERR_DPM_USAGE` without `@aws-sdk/client-s3`, `ERR_DPM_CONFIG` for an unknown parameter.
 */
export async function openS3(url: URL): Promise<Results> {
  const loaded = await optional(() => import('@aws-sdk/client-s3'), 'S3', '@aws-sdk/client-s3');
  for (const name of url.searchParams.keys()) {
    if (name !== 'endpoint' && name !== 'region') {
      throw new DpmError('ERR_DPM_CONFIG', `results: ${name} is no parameter of s3://, there are endpoint and region`);
    }
  }
  const endpoint = url.searchParams.get('endpoint');
  const region = url.searchParams.get('region');
  const client = new loaded.S3Client({
    // Servers other than AWS have buckets in the path.
    ...(endpoint !== null && { endpoint, forcePathStyle: true }),
    ...(region !== null && { region }),
  });
  return new S3Results(loaded, client, url);
}
