import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { DpmError } from 'dpm-native';
import Type from 'typebox';

import { checked } from '../schema.js';
import { jobSchema, type Job } from './job.js';
import { SpoolJob } from './spool-job.js';
import type { ChunkFailure } from './store.js';
import { replaceFile, syncFolder, UNFINISHED, writeOnce } from './write-once.js';

const failuresSchema = Type.Array(
  Type.Object(
    { chunk: Type.Integer({ minimum: 0 }), code: Type.String(), message: Type.String() },
    { additionalProperties: false },
  ),
);

/** Of folders that are being removed. */
const GONE = '.gone';

function isId(name: string): boolean {
  return /^[0-9a-f-]{36}$/.test(name);
}

async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith(UNFINISHED)) await rm(join(folder, name));
}

async function parsed(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8');
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
   * All jobs, as the files tell.
   *
   * @throws {@link DpmError} `ERR_DPM_CONFIG` naming a file that is not what it should be.
   */
  async load(): Promise<SpoolJob[]> {
    const names = await readdir(this.#root);
    return Promise.all(names.filter(isId).map((id) => this.#load(id)));
  }

  /** Removes what a process that has died has left half done. */
  async clean(): Promise<void> {
    for (const name of await readdir(this.#root)) {
      const path = this.#folder(name);
      if (name.endsWith(UNFINISHED) || name.endsWith(GONE)) await rm(path, { recursive: true });
      else if (isId(name)) await removeUnfinished(path);
    }
  }

  async #load(id: string): Promise<SpoolJob> {
    const folder = this.#folder(id);
    const path = join(folder, 'job.json');
    const job = checked(jobSchema, await parsed(path), path);
    if (job.id !== id) throw new DpmError('ERR_DPM_CONFIG', `${path}: id is ${job.id}, its folder's name is another`);
    const { mtimeMs } = await stat(folder);
    const loaded = new SpoolJob(job, mtimeMs);
    for (const file of await readdir(folder)) {
      const chunk = loaded.chunkOf(file);
      if (chunk !== undefined) loaded.done.add(chunk);
      else if (file === 'cancelled') loaded.isCancelled = true;
      else if (file === 'failed.json') await this.#loadFailures(loaded, join(folder, file));
    }
    return loaded;
  }

  async #loadFailures(loaded: SpoolJob, path: string): Promise<void> {
    for (const failure of checked(failuresSchema, await parsed(path), path)) {
      if (failure.chunk < loaded.chunks && !loaded.done.has(failure.chunk)) loaded.failures.set(failure.chunk, failure);
    }
  }

  /** Writes a new job; it is there when this resolves. */
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

  /** Writes the samples of a chunk. */
  async addChunk(entry: SpoolJob, chunk: number, bytes: Uint8Array): Promise<void> {
    await writeOnce(join(this.#folder(entry.job.id), entry.fileOf(chunk)), bytes);
  }

  /** Undefined: they are not there. */
  async chunk(entry: SpoolJob, chunk: number): Promise<Uint8Array | undefined> {
    if (!entry.done.has(chunk)) return undefined;
    return readFile(join(this.#folder(entry.job.id), entry.fileOf(chunk)));
  }

  /** Writes which chunks have failed; none: the file goes. */
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

  /** Removes a job. */
  async remove({ job }: SpoolJob): Promise<void> {
    const gone = `${this.#folder(job.id)}${GONE}`;
    await rename(this.#folder(job.id), gone);
    await rm(gone, { recursive: true });
  }
}
