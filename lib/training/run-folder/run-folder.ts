import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';

import { DpmError, toDpmError } from '../../base/errors.js';
import { standardsOf, type OptionFact } from '../../base/option-facts.js';
import { kinds, requireKind } from '../../base/option-kinds.js';
import type { TensorSources } from '../../engine/checkpoint-tensors.js';
import { isThere, makeFolder } from '../../files/files.js';
import { MetricsFile, metricsName, type StepMetrics } from '../metrics.js';
import { EventFile } from '../tensorboard/event-file.js';
import {
  bytesOf,
  holds,
  readCheckpointFiles,
  writeCheckpointFiles,
  type TrainingCheckpoint,
  type WholeCheckpoint,
} from './checkpoint-files.js';
import { systemDisk, type Disk } from './disk.js';
import { lockName, RunLock } from './lock.js';
import { foldersOf, tensorsOfFile, writeBeginning, type ModelFiles, type WeightFile } from './model-files.js';
import { readSettings, requireSameSettings, runName, writeSettings, type RunSettings } from './run-options.js';

const checkpointsName = 'checkpoints';

/** Facts about the options of a run's folder. */
export const runFolderFacts = {
  checkpointsKept: {
    kind: kinds.positiveInteger,
    help: 'checkpoints kept, the newest ones',
    standard: 2,
    value: 'N',
  },
  tensorboard: {
    kind: kinds.boolean,
    help: 'writes losses, rates and samples as events, which TensorBoard shows',
    standard: false,
  },
} as const satisfies Record<string, OptionFact>;

/** Options of {@link RunFolder.open}. */
export interface RunFolderOptions {
  /** What must not change while the run lasts; values that are undefined are not given. */
  readonly settings: RunSettings;
  readonly model: ModelFiles;
  /** Number of checkpoints that are kept. A positive integer. Default 2. */
  readonly checkpointsKept?: number | undefined;
  /** True: metrics are written as events of TensorBoard, too. Default false. */
  readonly tensorboard?: boolean | undefined;
}

/** A checkpoint that was passed over, and where it lies now. */
export interface DamagedCheckpoint {
  /** Where it lies now. */
  readonly path: string;
  /** What is wrong with it. */
  readonly error: DpmError;
}

function stepOf(name: string): number | null {
  const [, digits] = /^step-(0|[1-9]\d{0,14})$/.exec(name) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** Steps of the checkpoints of a folder, the newest first. */
async function stepsIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  const steps = names.map(stepOf).filter((step) => step !== null);
  return steps.sort((a, b) => b - a);
}

/** The names that the beginning of a run gives to files and folders, and those that it gives last. */
function namesOf({ beginning, weights }: ModelFiles): string[] {
  const first = [...beginning.keys(), ...weights.map(({ path }) => path)].map((path) => path.split(sep)[0] ?? path);
  return [...new Set(first), runName, lockName];
}

function temporaryName(name: string): string {
  return `.${name}.${randomBytes(6).toString('hex')}.tmp`;
}

/**
 * Folder of a run of training: a model as `dpm sample` takes it, which holds the average's weights from the first checkpoint
 * on; `checkpoints/step-N` with all that training goes on with; `run.json` with what must not change; `metrics.jsonl`, and
 * events for TensorBoard where they are wanted. One
 * run has it at a time. Whatever is written is there whole or not at all.
 */
export class RunFolder implements AsyncDisposable {
  readonly #path: string;
  readonly #model: ModelFiles;
  readonly #kept: number;
  readonly #disk: Disk;
  readonly #lock: RunLock;
  /** The newest checkpoint that was whole as the folder was opened; null: there was none. */
  readonly newest: WholeCheckpoint | null;
  /** Checkpoints that were passed over as they are damaged. */
  readonly damaged: readonly DamagedCheckpoint[];
  /** The file of metrics, behind the line of the newest checkpoint. */
  readonly metrics: MetricsFile;
  /** The events for TensorBoard; null: none are wanted. */
  readonly events: EventFile | null;

  private constructor(
    path: string,
    { model, checkpointsKept, tensorboard }: RunFolderOptions,
    disk: Disk,
    parts: Pick<RunFolder, 'newest' | 'damaged' | 'metrics'> & { lock: RunLock },
  ) {
    this.#path = path;
    this.#model = model;
    this.#kept = checkpointsKept ?? standardsOf(runFolderFacts).checkpointsKept;
    this.#disk = disk;
    this.#lock = parts.lock;
    this.newest = parts.newest;
    this.damaged = parts.damaged;
    this.metrics = parts.metrics;
    this.events = tensorboard === true ? new EventFile(path, parts.newest?.step ?? 0) : null;
  }

  /**
   * Opens a folder for a run: begins one in a folder that is new or empty, or goes on with the one there, from its newest
   * checkpoint that is whole. Later lines of metrics are cut off.
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` naming the process that trains there, a file that is no run's, or all
   * checkpoints if none is whole; `ERR_DPM_ARGUMENT` naming a setting that has changed.
   */
  static async open(path: string, options: RunFolderOptions, disk: Disk = systemDisk): Promise<RunFolder> {
    const kept = runFolderFacts.checkpointsKept;
    if (options.checkpointsKept !== undefined) requireKind('checkpointsKept', options.checkpointsKept, kept.kind);
    await makeFolder(path);
    const lock = await RunLock.take(path);
    try {
      await removeUnfinished(path, options.model, disk);
      const settings = { ...options.settings, network: options.model.config };
      const saved = await readSettings(path);
      if (saved === null) await requireOwn(path, options.model);
      // Without a checkpoint nothing is lost if it begins again.
      const isBegun = saved !== null && (await stepsIn(join(path, checkpointsName))).length > 0;
      if (isBegun) requireSameSettings(path, saved, settings);
      else await begin(path, options.model, settings, disk);
      const { newest, damaged } = await newestOf(path, disk);
      const metrics = await MetricsFile.open(join(path, metricsName), newest?.step ?? 0);
      const run = new RunFolder(path, options, disk, { newest, damaged, metrics, lock });
      // A run that was killed right behind its checkpoint has not come to the model.
      if (newest !== null) await run.#writeModel(newest.part('average'), holds);
      return run;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Place of the checkpoint of a step. */
  checkpointPath(step: number): string {
    return join(this.#path, checkpointsName, `step-${step}`);
  }

  /** Writes the metrics of a step. @throws {@link DpmError} `ERR_DPM_FILE` if they cannot be written, as on a full disk. */
  async record(metrics: StepMetrics): Promise<void> {
    await this.metrics.add(metrics);
    await this.events?.addStep(metrics);
  }

  /**
   * Writes a checkpoint, makes the average the weights of the folder's model, and removes the oldest checkpoints. Where it
   * fails, the checkpoints before it and the model are what they were.
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` naming the file that cannot be written, `ERR_DPM_TENSOR_SHAPE` naming a tensor.
   */
  async save(checkpoint: TrainingCheckpoint): Promise<void> {
    await this.metrics.sync();
    await this.events?.sync();
    const average = await this.#writeCheckpoint(checkpoint);
    // What does not learn is there from the first checkpoint on.
    await this.#writeModel(average, async (path, tensors, { learns }) => !learns && holds(path, tensors));
    const steps = await stepsIn(join(this.#path, checkpointsName));
    for (const step of steps.slice(this.#kept)) await this.#removeCheckpoint(step);
  }

  /** Gives the average, which is read once for the checkpoint and for the model. */
  async #writeCheckpoint(checkpoint: TrainingCheckpoint): Promise<TensorSources> {
    const disk = this.#disk;
    const folder = join(this.#path, checkpointsName);
    const target = this.checkpointPath(checkpoint.step);
    const temporary = join(folder, temporaryName(`step-${checkpoint.step}`));
    try {
      await disk.makeFolder(folder);
      await disk.makeFolder(temporary);
      const average = await writeCheckpointFiles(temporary, checkpoint, disk);
      await disk.sync(temporary);
      // A checkpoint of this step can be here only if it is written a second time.
      if (await isThere(target)) await this.#removeCheckpoint(checkpoint.step);
      await disk.rename(temporary, target);
      await disk.sync(folder);
      return average;
    } catch (error) {
      await disk.remove(temporary).catch(() => undefined);
      throw error;
    }
  }

  /** @param stays - Tells whether a file holds these tensors already. */
  async #writeModel(
    average: TensorSources,
    stays: (path: string, tensors: TensorSources, file: WeightFile) => Promise<boolean>,
  ): Promise<void> {
    for (const file of this.#model.weights) {
      const [path, tensors] = [join(this.#path, file.path), tensorsOfFile(file, average)];
      if (await stays(path, tensors, file)) continue;
      await this.#disk.write(path, bytesOf(tensors, path));
      await this.#disk.sync(dirname(path));
    }
  }

  /** Removes a checkpoint whole: what a kill leaves of it has another name. */
  async #removeCheckpoint(step: number): Promise<void> {
    const aside = join(this.#path, checkpointsName, temporaryName(`step-${step}`));
    await this.#disk.rename(this.checkpointPath(step), aside);
    await this.#disk.remove(aside);
  }

  /** Closes the files, and lets another run have the folder. */
  async close(): Promise<void> {
    await this.metrics.close();
    await this.events?.close();
    await this.#lock.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Removes what runs that were killed have left unfinished. */
async function removeUnfinished(path: string, model: ModelFiles, disk: Disk): Promise<void> {
  for (const folder of [...foldersOf(model), checkpointsName]) {
    const names = await readdir(join(path, folder)).catch(() => []);
    const left = names.filter((name) => /^\.(?:dpm-|step-\d+\.)[0-9a-f]{12}\.tmp$/.test(name));
    for (const name of left) await disk.remove(join(path, folder, name));
  }
}

/** Refuses a folder in which something lies that is no run's. */
async function requireOwn(path: string, model: ModelFiles): Promise<void> {
  const own = namesOf(model);
  // Another process that asks for the lock has a file of its own there for a moment.
  const strangers = (await readdir(path)).filter((name) => !own.includes(name) && !name.startsWith(lockName));
  const known = model.weights.map((file) => join(path, file.path));
  const weights = (await Promise.all(known.map(isThere))).indexOf(true);
  const stranger = known[weights] ?? (strangers[0] && join(path, strangers[0]));
  if (stranger !== undefined) {
    throw new DpmError('ERR_DPM_FILE', `${path} holds ${stranger} and no run: train into a new folder`);
  }
}

/** Begins a run; `run.json` is the last, so that a run is there once all of its beginning is. */
async function begin(path: string, model: ModelFiles, settings: RunSettings, disk: Disk): Promise<void> {
  await writeBeginning(path, model, disk);
  await writeSettings(path, settings, disk);
  await disk.sync(path);
}

/** Finds the newest whole checkpoint; damaged ones that are newer get another name, so that they count no more. */
async function newestOf(path: string, disk: Disk): Promise<Pick<RunFolder, 'newest' | 'damaged'>> {
  const folder = join(path, checkpointsName);
  const damaged: DamagedCheckpoint[] = [];
  let newest: WholeCheckpoint | null = null;
  for (const step of await stepsIn(folder)) {
    const own = join(folder, `step-${step}`);
    try {
      newest = await readCheckpointFiles(own);
      if (newest.step !== step) throw new DpmError('ERR_DPM_CONFIG', `${own} says that it is of step ${newest.step}`);
      break;
    } catch (error) {
      newest = null;
      damaged.push({ path: own, error: toDpmError(error) });
    }
  }
  const [first] = damaged;
  if (newest === null && first !== undefined) {
    const what = damaged.length === 1 ? 'its checkpoint is' : `all of its ${damaged.length} checkpoints are`;
    throw new DpmError('ERR_DPM_FILE', `${path}: ${what} damaged: ${first.error.message}`, { cause: first.error });
  }
  const moved: DamagedCheckpoint[] = [];
  for (const { path: own, error } of damaged) {
    const aside = join(folder, `damaged-${own.slice(own.lastIndexOf('step-'))}`);
    await disk.remove(aside);
    await disk.rename(own, aside);
    moved.push({ path: aside, error });
  }
  return { newest, damaged: moved };
}
