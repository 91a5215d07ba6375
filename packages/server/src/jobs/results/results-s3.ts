import type * as sdk from '@aws-sdk/client-s3';
import { DpmError } from 'dpm-native';

import { optional } from '../../base/optional.js';
import { ServerError } from '../../base/problem.js';
import { forEachOf } from '../files/each-of.js';
import { isWhole, sha256Of } from '../files/sha256.js';
import type { Results } from './results.js';

type Sdk = typeof sdk;

/** The status of S3's answer; undefined where there was no answer. */
function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

/** The number of times that bytes are put while others write the same object. */
const MOST_PUTS = 5;

/** What an error is called: by the system, or by S3. */
function nameOf(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException;
  return code ?? name;
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

  /** The result of requests; undefined where the object is missing. */
  async #unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (cause) {
      if (statusOf(cause) === 404 && nameOf(cause) !== 'NoSuchBucket') return undefined;
      throw this.#unusable(cause);
    }
  }

  /** The error of a bucket that cannot be used now. What lies beneath may have addresses, which strangers need not know. */
  #unusable(cause: unknown): ServerError {
    const message = `the samples in the bucket ${this.#bucket} cannot be reached: ${nameOf(cause)}`;
    return new ServerError('ERR_DPM_STORAGE', message, { status: 503, headers: { 'retry-after': '5' }, cause });
  }

  /** @throws {@link DpmError} `ERR_DPM_CONFIG` where the bucket cannot be used. */
  async look(): Promise<void> {
    const { HeadBucketCommand } = this.#sdk;
    try {
      await this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }));
    } catch (cause) {
      const reasons: Readonly<Record<number, string>> = {
        301: 'it is in another region, which ?region= has to name',
        403: 'the credentials are wrong or lack s3:ListBucket, without which S3 does not say what is missing',
        404: 'there is no bucket of this name',
      };
      const reason = reasons[statusOf(cause) ?? 0] ?? nameOf(cause);
      throw new DpmError('ERR_DPM_CONFIG', `results s3://${this.#bucket} cannot be used: ${reason}`, { cause });
    }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const { PutObjectCommand } = this.#sdk;
    const Metadata = { sha256: await sha256Of(bytes) };
    const object = { ...this.#place(key), Body: bytes, Metadata, IfNoneMatch: '*' };
    for (let puts = 1; ; ++puts) {
      try {
        await this.#client.send(new PutObjectCommand(object));
        return;
      } catch (cause) {
        const status = statusOf(cause);
        // Another worker has put the same bytes there.
        if (status === 412) return;
        // Another one is just putting or removing them, and S3 says neither that they are there nor that they are not.
        if (status !== 409 || puts === MOST_PUTS) throw this.#unusable(cause);
      }
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const { DeleteObjectCommand, GetObjectCommand } = this.#sdk;
    const found = await this.#unlessMissing(async () => {
      const { Body, Metadata } = await this.#client.send(new GetObjectCommand(this.#place(key)));
      return { bytes: await Body?.transformToByteArray(), sum: Metadata?.sha256 };
    });
    if (found?.bytes === undefined) return undefined;
    if (await isWhole(found.bytes, found.sum)) return found.bytes;
    // Without it a retry finds that the bytes are missing. A server that may only read cannot help there.
    await this.#client.send(new DeleteObjectCommand(this.#place(key))).catch(() => undefined);
    return undefined;
  }

  async has(key: string): Promise<boolean> {
    const { HeadObjectCommand } = this.#sdk;
    return (await this.#unlessMissing(() => this.#client.send(new HeadObjectCommand(this.#place(key))))) !== undefined;
  }

  async remove(keys: readonly string[]): Promise<void> {
    const { DeleteObjectCommand } = this.#sdk;
    await forEachOf(keys, AT_ONCE, async (key) => {
      await this.#unlessMissing(() => this.#client.send(new DeleteObjectCommand(this.#place(key))));
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
 * @throws {@link DpmError} `ERR_DPM_USAGE` without `@aws-sdk/client-s3`, `ERR_DPM_CONFIG` for an unknown parameter, and where the bucket
 * cannot be used.
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
  const results = new S3Results(loaded, client, url);
  try {
    await results.look();
  } catch (error) {
    results.close();
    throw error;
  }
  return results;
}
