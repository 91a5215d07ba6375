import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { DpmError } from 'dpm-native';
import Type from 'typebox';

import { checked } from '../../base/schema.js';
import { isJobId, jobSchema, type Job } from '../job.js';
import { SpoolJob } from './spool-job.js';
import type { ChunkFailure } from '../store.js';
import { isWhole, sha256Of } from '../files/sha256.js';
import { unlessMissing } from '../files/unless-missing.js';
import { replaceFile, syncFolder, UNFINISHED, writeOnce } from '../files/write-once.js';

const failuresSchema = Type.Array(
  Type.Object(
    { chunk: Type.Integer({ minimum: 0 }), code: Type.String(), message: Type.String() },
    { additionalProperties: false },
  ),
);

/** Digests of a job's chunks, as `sha256sum` writes and checks them. */
const SUMS = 'SHA256SUMS';
/** The ending of folders that are being removed. */
const GONE = '.gone';
/** The number of jobs that are read at once, as a process may open few files. */
const AT_ONCE = 16;

/** Tells whether a folder is a job that was being written or removed. */
function isLeftOver(name: string): boolean {
  return isJobId(name.slice(0, 36)) && (name.endsWith(UNFINISHED) || name.endsWith(GONE));
}

async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith(UNFINISHED)) await rm(join(folder, name));
}

async function parsed(path: string, reading: Promise<string>): Promise<unknown> {
  const text = await reading;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DpmError('ERR_DPM_CONFIG', `${path} is no JSON`, { cause });
  }
}

/** The files of a spool: for each job a folder with `job.json`, its chunks, and what went wrong. */
export class SpoolFiles {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  #folder(id: string): string {
    return join(this.#root, id);
  }

  /**
   * Reads all jobs from their files. The server of the spool may remove some meanwhile.
   *
   * @throws {@link DpmError} `ERR_DPM_CONFIG` naming a file that is not what it should be.
   */
  async load(): Promise<SpoolJob[]> {
    const ids = (await readdir(this.#root)).filter(isJobId);
    const loaded: SpoolJob[] = [];
    for (let begin = 0; begin < ids.length; begin += AT_ONCE) {
      const some = await Promise.all(ids.slice(begin, begin + AT_ONCE).map((id) => this.#loadUnlessGone(id)));
      loaded.push(...some.filter((entry) => entry !== undefined));
    }
    return loaded;
  }

  async #loadUnlessGone(id: string): Promise<SpoolJob | undefined> {
    try {
      return await this.#load(id);
    } catch (error) {
      if ((await unlessMissing(stat(this.#folder(id)))) === undefined) return undefined;
      throw error;
    }
  }

  /** Removes half-done files and folders of a process that has died. */
  async clean(): Promise<void> {
    for (const name of await readdir(this.#root)) {
      const path = this.#folder(name);
      if (isLeftOver(name)) await rm(path, { recursive: true });
      else if (isJobId(name)) await removeUnfinished(path);
    }
  }

  async #load(id: string): Promise<SpoolJob> {
    const folder = this.#folder(id);
    const path = join(folder, 'job.json');
    const job = checked(jobSchema, await parsed(path, readFile(path, 'utf8')), path);
    if (job.id !== id) throw new DpmError('ERR_DPM_CONFIG', `${path}: id is ${job.id}, its folder's name is another`);
    const { mtimeMs } = await stat(folder);
    const loaded = new SpoolJob(job, mtimeMs);
    const files = await readdir(folder);
    const sums = await this.#sumsOf(folder);
    for (const file of files) {
      const chunk = loaded.chunkOf(file);
      const sum = sums.get(file);
      // Without its digest a file may be anything, and its chunk is drawn again.
      if (chunk !== undefined && sum !== undefined) loaded.done.set(chunk, sum);
      else if (file === 'cancelled') loaded.isCancelled = true;
    }
    // Failures come last, as an old file may name chunks that have been drawn since.
    if (files.includes('failed.json')) await this.#loadFailures(loaded, join(folder, 'failed.json'));
    return loaded;
  }

  /** Reads the digests of files. Lines that a process was writing when it died do not count, and the last one of a file does. */
  async #sumsOf(folder: string): Promise<Map<string, string>> {
    const text = (await unlessMissing(readFile(join(folder, SUMS), 'utf8'))) ?? '';
    return new Map(
      [...text.matchAll(/^([0-9a-f]{64}) {2}(.+)\n/gm)].map(([, sum = '', file = '']): [string, string] => [file, sum]),
    );
  }

  async #loadFailures(loaded: SpoolJob, path: string): Promise<void> {
    // The file is removed when failed chunks are tried again.
    const text = unlessMissing(readFile(path, 'utf8')).then((found) => found ?? '[]');
    for (const failure of checked(failuresSchema, await parsed(path, text), path)) {
      if (failure.chunk < loaded.chunks && !loaded.done.has(failure.chunk)) loaded.failures.set(failure.chunk, failure);
    }
  }

  /** Writes a new job, which is safe once this resolves. */
  async add(job: Job): Promise<void> {
    const temporary = `${this.#folder(job.id)}${UNFINISHED}`;
    await mkdir(temporary);
    try {
      await writeOnce(join(temporary, 'job.json'), JSON.stringify(job));
      await rename(temporary, this.#folder(job.id));
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
    await syncFolder(this.#root);
  }

  /** Writes the samples of a chunk, after their digest, which it returns. A damaged file is replaced. */
  async addChunk(entry: SpoolJob, chunk: number, bytes: Uint8Array): Promise<string> {
    const folder = this.#folder(entry.job.id);
    const sum = await sha256Of(bytes);
    // The line before may be half-written.
    await appendFile(join(folder, SUMS), `\n${sum}  ${entry.fileOf(chunk)}\n`, { flush: true });
    await replaceFile(join(folder, entry.fileOf(chunk)), bytes);
    return sum;
  }

  /** Reads the samples of a chunk; undefined where they are missing, or are not what was written. */
  async chunk(entry: SpoolJob, chunk: number, sum: string): Promise<Uint8Array | undefined> {
    const bytes = await unlessMissing(readFile(join(this.#folder(entry.job.id), entry.fileOf(chunk))));
    return bytes !== undefined && (await isWhole(bytes, sum)) ? bytes : undefined;
  }

  /** Writes which chunks have failed, or removes the file where none has. */
  async keepFailures({ job, failures }: SpoolJob): Promise<void> {
    const path = join(this.#folder(job.id), 'failed.json');
    const kept: ChunkFailure[] = [...failures.values()];
    if (kept.length === 0) await rm(path, { force: true });
    else await replaceFile(path, JSON.stringify(kept));
  }

  /** Writes that a job was cancelled. */
  async cancel({ job }: SpoolJob): Promise<void> {
    await writeOnce(join(this.#folder(job.id), 'cancelled'), '');
  }

  /** Removes the files that remain of removed jobs. */
  async removeRest(): Promise<void> {
    for (const name of await readdir(this.#root)) {
      if (isLeftOver(name) && name.endsWith(GONE)) await rm(this.#folder(name), { recursive: true, force: true });
    }
  }

  /** Removes a job, which is gone once this resolves, even if its files remain. */
  async remove({ job }: SpoolJob): Promise<void> {
    const gone = `${this.#folder(job.id)}.${randomUUID()}${GONE}`;
    await rename(this.#folder(job.id), gone);
    // Files that remain are removed later.
    await rm(gone, { recursive: true }).catch(() => undefined);
  }
}
