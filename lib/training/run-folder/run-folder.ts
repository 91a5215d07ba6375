import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';

import { DpmError, toDpmError } from '../../base/errors.js';
import { standardsOf, type OptionFact } from '../../base/option-facts.js';
import { kinds, requireKind } from '../../base/option-kinds.js';
import type { FolderLayout } from '../../checkpoint/family.js';
import { headPrefix } from '../../checkpoint/heads.js';
import { isOfHead, type TrainableHead } from '../../checkpoint/trainable-head.js';
import type { TensorSources } from '../../engine/checkpoint-tensors.js';
import { fileError, isThere, makeFolder } from '../../files/files.js';
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

/** The network that a run trains, as files of its model say it. */
export interface RunNetwork {
  /** Its configuration; of another family than diffusers with the field `family`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Configuration of the scheduler; null if the network's own says all. */
  readonly scheduler: Readonly<Record<string, unknown>> | null;
  /** Where the parts of such a model lie. */
  readonly layout: FolderLayout;
  /** Head that learns; null: the network does. */
  readonly head: TrainableHead | null;
}

/** Options of {@link RunFolder.open}. */
export interface RunFolderOptions {
  /** What must not change while the run lasts; values that are undefined are not given. */
  readonly settings: RunSettings;
  readonly network: RunNetwork;
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

const json = (value: unknown): string[] => [`${JSON.stringify(value, null, 2)}\n`];

/** The names that the beginning of a run gives to files, in the order in which it makes them. */
function namesOf({ layout: { network }, head }: RunNetwork): string[] {
  const ofHead = head === null ? [] : filesOfHead(head).map((path) => path.split(sep)[0] ?? path);
  return [network === '' ? 'config.json' : network, 'scheduler', ...ofHead, 'model_index.json', runName, lockName];
}

/** Paths of the files that a model has for its head, in its folder. */
function filesOfHead({ companions, apart }: TrainableHead): string[] {
  return [...companions.keys(), ...(apart === null ? [] : [join('heads', 'config.json')])];
}

/** The file of the model's weights in the folder of a run. */
function weightsPath(path: string, { layout: { network, weights } }: RunNetwork): string {
  return join(path, network, `${weights}.safetensors`);
}

/** The files of the model's weights, and what they hold. */
function weightFiles(path: string, run: RunNetwork, average: TensorSources): [path: string, tensors: TensorSources][] {
  const apart = run.head?.apart ?? null;
  if (apart === null) return [[weightsPath(path, run), average]];
  const ofHead = [...average].filter(([name]) => isOfHead(name));
  return [
    [weightsPath(path, run), new Map([...average].filter(([name]) => !isOfHead(name)))],
    [
      join(path, 'heads', apart.file),
      new Map(ofHead.map(([name, tensor]) => [name.slice(headPrefix.length + 1), tensor])),
    ],
  ];
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
  readonly #network: RunNetwork;
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
    { network, checkpointsKept, tensorboard }: RunFolderOptions,
    disk: Disk,
    parts: Pick<RunFolder, 'newest' | 'damaged' | 'metrics'> & { lock: RunLock },
  ) {
    this.#path = path;
    this.#network = network;
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
      await removeUnfinished(path, options.network, disk);
      const settings = { ...options.settings, network: options.network.config };
      const saved = await readSettings(path);
      if (saved === null) await requireOwn(path, options.network);
      // Without a checkpoint nothing is lost if it begins again.
      const isBegun = saved !== null && (await stepsIn(join(path, checkpointsName))).length > 0;
      if (isBegun) requireSameSettings(path, saved, settings);
      else await begin(path, options.network, settings, disk);
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
    const isFixed = (this.#network.head?.apart ?? null) === null ? null : weightsPath(this.#path, this.#network);
    await this.#writeModel(average, async (path, tensors) => path === isFixed && holds(path, tensors));
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
  async #writeModel(average: TensorSources, stays: typeof holds): Promise<void> {
    for (const [path, tensors] of weightFiles(this.#path, this.#network, average)) {
      if (await stays(path, tensors)) continue;
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
async function removeUnfinished(path: string, { layout }: RunNetwork, disk: Disk): Promise<void> {
  for (const folder of new Set([
    path,
    join(path, layout.network),
    join(path, 'scheduler'),
    join(path, 'heads'),
    join(path, checkpointsName),
  ])) {
    const names = await readdir(folder).catch(() => []);
    const left = names.filter((name) => /^\.(?:dpm-|step-\d+\.)[0-9a-f]{12}\.tmp$/.test(name));
    for (const name of left) await disk.remove(join(folder, name));
  }
}

/** Refuses a folder in which something lies that is no run's. */
async function requireOwn(path: string, network: RunNetwork): Promise<void> {
  const weights = weightsPath(path, network);
  const own = namesOf(network);
  // Another process that asks for the lock has a file of its own there for a moment.
  const strangers = (await readdir(path)).filter((name) => !own.includes(name) && !name.startsWith(lockName));
  const stranger = (await isThere(weights)) ? weights : strangers[0] && join(path, strangers[0]);
  if (stranger !== undefined) {
    throw new DpmError('ERR_DPM_FILE', `${path} holds ${stranger} and no run: train into a new folder`);
  }
}

/** Writes the configuration of heads, and copies what the model has beside its network and this one. */
async function beginHead(path: string, { apart, companions }: TrainableHead, disk: Disk): Promise<void> {
  if (apart !== null) {
    await disk.makeFolder(join(path, 'heads'));
    await disk.write(join(path, 'heads', 'config.json'), json(apart.config));
  }
  for (const [name, from] of companions) {
    const bytes = await readFile(from).catch((cause: unknown) => {
      throw fileError('read', from, cause);
    });
    await disk.makeFolder(dirname(join(path, name)));
    await disk.write(join(path, name), [bytes]);
  }
}

/** Begins a run; `run.json` is the last, so that a run is there once all of its beginning is. */
async function begin(path: string, network: RunNetwork, settings: RunSettings, disk: Disk): Promise<void> {
  const { config, scheduler, layout, head } = network;
  const folder = join(path, layout.network);
  await disk.makeFolder(folder);
  await disk.write(join(folder, 'config.json'), json(config));
  if (scheduler !== null) {
    await disk.makeFolder(join(path, 'scheduler'));
    await disk.write(join(path, 'scheduler', 'scheduler_config.json'), json(scheduler));
    const ofScheduler = ['diffusers', scheduler._class_name ?? 'DDPMScheduler'];
    const unet = ['diffusers', config._class_name ?? 'UNet2DModel'];
    await disk.write(
      join(path, 'model_index.json'),
      json({ _class_name: 'DDPMPipeline', scheduler: ofScheduler, unet }),
    );
  }
  if (head !== null) await beginHead(path, head, disk);
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
