import { open, readdir, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { fileError } from '../../files/files.js';
import type { StepMetrics } from '../metrics.js';
import { encodeEvent, type EventContent, type EventPicture } from './event.js';
import { tfRecord } from './record.js';

/** The version that readers want to see at the beginning of a file of events. */
const VERSION = 'brain.Event:2';

const secondsOf = (name: string): number => Number(/^events\.out\.tfevents\.(\d+)\./.exec(name)?.[1] ?? 0);

/** Names a file by its time. Readers take files in the order of their names, so it is later than all there are. */
async function newPath(folder: string): Promise<string> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw fileError('read', folder, cause);
  });
  const latest = names.reduce((most, name) => Math.max(most, secondsOf(name)), 0);
  const seconds = Math.max(Math.floor(Date.now() / 1000), latest + 1);
  return join(folder, `events.out.tfevents.${String(seconds).padStart(10, '0')}.${hostname()}.${process.pid}`);
}

function record(step: number, content: EventContent): Buffer {
  return tfRecord(encodeEvent({ time: Date.now() / 1000, step, content }));
}

/**
 * File of the events of a run, which TensorBoard reads. Each opening of a run has one of its own, made by its first event. It begins
 * by saying which step comes next: what earlier files have of this step and later ones is lost, and TensorBoard drops it.
 */
export class EventFile implements AsyncDisposable {
  readonly #folder: string;
  readonly #begun: number;
  #opened: { path: string; file: FileHandle } | null = null;
  /** Bytes of whole records. */
  #end = 0;

  /** @param begun - Number of steps that were done when the run was opened. */
  constructor(folder: string, begun: number) {
    this.#folder = folder;
    this.#begun = begun;
  }

  /** Adds the numbers of a step. @throws {@link DpmError} `ERR_DPM_FILE` if they cannot be written, as on a full disk. */
  async addStep({ step, loss, gradientNorm, rate, averageDecay, imagesPerSecond }: StepMetrics): Promise<void> {
    await this.#add(step, {
      values: [
        ['train/loss', loss],
        ['train/gradient_norm', gradientNorm],
        ['train/rate', rate],
        ['train/average_decay', averageDecay],
        ['train/images_per_second', imagesPerSecond],
      ],
    });
  }

  /** Adds a picture. @throws {@link DpmError} `ERR_DPM_FILE`. */
  async addPicture(step: number, tag: string, picture: EventPicture): Promise<void> {
    await this.#add(step, { values: [[tag, picture]] });
  }

  /** Makes all events survive a crash of the machine. @throws {@link DpmError} `ERR_DPM_FILE`. */
  async sync(): Promise<void> {
    if (this.#opened === null) return;
    const { file, path } = this.#opened;
    await file.sync().catch((cause: unknown) => {
      throw fileError('write', path, cause);
    });
  }

  async close(): Promise<void> {
    await this.#opened?.file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #open(): Promise<{ path: string; file: FileHandle }> {
    const path = await newPath(this.#folder);
    const file = await open(path, 'ax').catch((cause: unknown) => {
      throw fileError('write', path, cause);
    });
    return { path, file };
  }

  async #add(step: number, content: EventContent): Promise<void> {
    const { path, file } = (this.#opened ??= await this.#open());
    const first = [record(0, { version: VERSION }), record(this.#begun + 1, { starts: true })];
    const bytes = Buffer.concat([...(this.#end === 0 ? first : []), record(step, content)]);
    try {
      await file.appendFile(bytes);
    } catch (cause) {
      // Behind half a record nothing can be read.
      await file.truncate(this.#end).catch(() => undefined);
      throw fileError('write', path, cause);
    }
    this.#end += bytes.length;
  }
}
