import { abortable, throwIfAborted } from './base/abort.js';
import { elementCount } from './base/arrays.js';
import { optionNames, refuseUnknownOptions, requireObject, unknownName } from './base/checks.js';
import { DpmError, nativeWork } from './base/errors.js';
import { ImageBatch } from './base/images.js';
import { listenerOf } from './base/listener.js';
import { requireMemory } from './base/memory-budget.js';
import { isCentred, type PixelRange } from './base/pixel-range.js';
import { headNames, type HeadName } from './checkpoint/heads.js';
import type { ImageSize } from './checkpoint/image-size.js';
import { loadableNetwork, type ModelFolder } from './checkpoint/model-folder.js';
import { readModelFolder } from './checkpoint/read-model.js';
import { native } from './engine/binding.js';
import { Device, deviceOptionNames, type DeviceOptions, type MemoryUse } from './engine/device.js';
import { UNet } from './engine/unet.js';
import type { HostProgram, Program, ProgramHead, StepProgram } from './program/program.js';
import { checkRunOptions, requireProgram } from './running/check-run-options.js';
import { checkedGuidance, type Guidance } from './running/guidance.js';
import { runHostBatches } from './running/host-run.js';
import { flattenNoise } from './running/noise-source.js';
import { imageFormats, runOptionNames, type RunOptions } from './running/run-options.js';
import { nativeRequest } from './running/run-request.js';
import { samplerByName, type OptionsOfSampler, type SamplerName } from './samplers/index.js';
import type { SamplerOptions } from './samplers/options.js';
import { refuseNull } from './samplers/sampler.js';
import { withTables } from './samplers/tables.js';
import type { NetworkTime } from './schedule/network-time.js';
import type { NoiseSchedule } from './schedule/noise-schedule.js';
import type { GammaTable } from './variance/gamma.js';

/** Options of {@link DiffusionModel.load}. */
export interface LoadOptions extends DeviceOptions {
  /** The variance head `unet.forward` evaluates. Samplers that need one load it themselves. Default null: none. */
  head?: HeadName | null | undefined;
  /**
   * What a checkpoint file is: a JSON or YAML file (`{ family, … }` with the original's own options, or that of a diffusers
   * network), or the name of a preset such as `ddpm-cifar10`. Folders say it themselves.
   */
  config?: string | undefined;
  /**
   * Size of the images, where not the configuration's: both sides have to be divisible by 2 as often as the network halves its maps.
   * Networks are best at the size that they were trained with.
   */
  imageSize?: ImageSize | undefined;
  /** Default: `index`, or what `networkTime` of the schedule says. */
  networkTime?: NetworkTime | undefined;
}

const loadOptionNames = optionNames<Omit<LoadOptions, keyof DeviceOptions>>({
  head: true,
  config: true,
  imageSize: true,
  networkTime: true,
});

/** A sampler by its name, its own options and those of a run; without `N` those of any sampler, each with its own. */
export type SampleOptions<N extends SamplerName = SamplerName> = {
  [K in N]: { sampler: K } & RunOptions & OptionsOfSampler<K>;
}[N];

/** Options of {@link DiffusionModel.sample} without a sampler: those of `scheduler` and of a run. */
export type SchedulerSampleOptions = { sampler?: undefined } & RunOptions & OptionsOfSampler<'scheduler'>;

/** What a run gives. */
export interface RunResult {
  /** The final states. */
  images: ImageBatch;
  /** States after every `snapshotEvery`-th record. */
  snapshots: { record: number; images: ImageBatch }[];
}

const DEFAULT_BATCH = 16;

function checkedCount(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} is ${value}, it has to be a positive integer`);
  }
  return value;
}

/** The one second output all programs of a run agree on. */
function commonHead(programs: readonly Program[]): ProgramHead | null {
  const heads = [...new Set(programs.map((program) => program.head).filter((head) => head !== null))];
  if (heads.length > 1) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `the programs of one run need different second outputs: ${heads.join(', ')}`,
    );
  }
  return heads[0] ?? null;
}

/** The options of {@link DiffusionModel.sample} apart: the sampler's own and those of a run. */
function splitOptions(options: { sampler?: SamplerName | undefined }): {
  sampler: SamplerName;
  own: SamplerOptions;
  run: RunOptions;
} {
  requireObject('the argument of sample', options);
  const { sampler = 'scheduler', ...others } = options;
  const isOfRun = ([name]: [string, unknown]): boolean => runOptionNames.includes(name);
  const all: [string, unknown][] = Object.entries(others);
  return {
    sampler,
    own: Object.fromEntries(all.filter((entry) => !isOfRun(entry))),
    run: Object.fromEntries(all.filter(isOfRun)),
  };
}

/** Options whose sampler is not known before the program runs; it refuses those that are not its own. */
export type AnySampleOptions = { sampler: SamplerName } & RunOptions & SamplerOptions;

interface ResolvedRun {
  programs: readonly Program[];
  unet: UNet;
  count: number;
  seed: number | bigint;
  labels: Int32Array | null;
  guidance: Guidance | null;
  init: Float32Array | null;
  noise: Float32Array | null;
  batch: number;
  options: RunOptions;
}

/** A diffusion model on a device: its network, noise schedule and tables. Close it when done. */
export class DiffusionModel {
  /** The network; it has a second output when the model was loaded with a `head`. */
  readonly unet: UNet;
  /** The noise schedule the network was trained with. */
  readonly schedule: NoiseSchedule;
  /** The model's `gamma.json`, the default of the analytic samplers. */
  readonly gamma: GammaTable | null;
  /** The device the networks are on; the model closes it. */
  readonly device: Device;
  /** [C, H, W] of one sample. */
  readonly sampleShape: readonly [channels: number, height: number, width: number];
  readonly #folder: ModelFolder;
  readonly #head: HeadName | null;
  readonly #networks = new Map<HeadName | null, Promise<UNet>>();

  private constructor(device: Device, folder: ModelFolder, unet: UNet, head: HeadName | null) {
    this.device = device;
    this.unet = unet;
    this.schedule = folder.schedule;
    this.gamma = folder.gamma;
    this.sampleShape = [unet.info.inChannels, unet.info.height, unet.info.width];
    this.#folder = folder;
    this.#head = head;
    this.#networks.set(head, Promise.resolve(unet));
  }

  /**
   * Loads a model.
   *
   * @param path - A folder in the diffusers layout (`unet/`, `scheduler/` and, where there are any, `heads/` and `gamma.json`); one
   * of another family (`config.json` with the field `family`, and `model.safetensors`); or a checkpoint file, with `config`.
   * @throws {@link DpmError} naming the file, tensor, field or device that is wrong.
   *
   * @example
   * ```ts
   * await using model = await DiffusionModel.load('models/mnist', { device: 'cpu' });
   * ```
   */
  static async load(path: string, options: LoadOptions = {}): Promise<DiffusionModel> {
    refuseUnknownOptions('DiffusionModel.load', options, [...deviceOptionNames, ...loadOptionNames]);
    const { head = null, networkTime, config, imageSize, ...deviceOptions } = options;
    if (head !== null && !headNames.includes(head)) {
      throw unknownName('head', head, headNames);
    }
    const read = await readModelFolder(path, { config, imageSize, ...(networkTime !== undefined && { networkTime }) });
    const loadable = await loadableNetwork(read, head);
    const device = Device.open(deviceOptions);
    try {
      return new DiffusionModel(device, read, await UNet.load(device, loadable.unet, loadable.graph), head);
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  /**
   * Draws samples, without a `sampler` as the model's scheduler file says (`scheduler`).
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong, `ERR_DPM_ABORTED` when aborted.
   *
   * @example
   * ```ts
   * const { images } = await model.sample({ sampler: 'analytic-ddpm', steps: 25, count: 16, seed: 1 });
   * const levels = images.toUint8(); // [16, C, H, W], 0..255
   * ```
   */
  async sample<N extends SamplerName>(
    options: ({ sampler: N } & RunOptions & OptionsOfSampler<N>) | SchedulerSampleOptions,
  ): Promise<RunResult> {
    const { sampler, own, run } = splitOptions(options);
    return this.run(this.#compile(sampler, own), run);
  }

  /** What {@link DiffusionModel.sample} runs. @internal */
  program(options: AnySampleOptions): Program {
    const { sampler, own } = splitOptions(options);
    return this.#compile(sampler, own);
  }

  #compile(sampler: SamplerName, own: SamplerOptions): Program {
    const compile = samplerByName(sampler);
    // The model's own tables would take the place of null.
    refuseNull(sampler, own);
    return compile(this.schedule, withTables(sampler, own, this.schedule, this.gamma));
  }

  /**
   * Runs a program on the network, or one program per sample.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong, `ERR_DPM_ABORTED` when aborted.
   *
   * @example
   * ```ts
   * const quick = samplers.ddim(model.schedule, { steps: 10 });
   * const good = samplers['dpm-solver++-2m'](model.schedule, { steps: 25 });
   * // Two samples of different programs share their evaluations.
   * const { images } = await model.run([quick, good], { seed: 1 });
   * ```
   */
  async run(program: Program | readonly Program[], options: RunOptions = {}): Promise<RunResult> {
    refuseUnknownOptions('run', options, runOptionNames);
    checkRunOptions(options);
    throwIfAborted(options.signal);
    const run = await this.#resolve(program, options);
    const [only] = run.programs;
    if (run.programs.length === 1 && only?.kind === 'host') return this.#runHost(only, run);
    const programs = run.programs.filter((each): each is StepProgram => each.kind === 'step');
    if (programs.length !== run.programs.length) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'a host program cannot share a run with other programs; run it alone');
    }
    return this.#runSteps(programs, run);
  }

  /** The values of black and white in samples: -1 and 1, or 0 and 1 of networks that centre their input themselves. */
  get range(): PixelRange {
    return this.schedule.defaults.dataRange;
  }

  /** Bytes in use by the model's device, see {@link MemoryUse}. */
  memory(): MemoryUse {
    return this.device.memory();
  }

  /** Rejects queued work with `ERR_DPM_CLOSED`, waits for running work and releases everything. Can be called again. */
  async close(): Promise<void> {
    const networks = [...this.#networks.values()];
    await this.device.close();
    await Promise.all(networks.map((network) => network.then((unet) => unet.close()).catch(() => undefined)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The network with the second output a program reads; loaded when first needed. @internal */
  async network(head: ProgramHead | null): Promise<UNet> {
    if (head === 'learned' && this.unet.info.outChannels !== 2 * this.unet.info.inChannels) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `variance 'learned' needs a network with ${2 * this.unet.info.inChannels} output channels, this one has ${this.unet.info.outChannels}`,
      );
    }
    if (head === null || head === 'learned') return this.unet;
    if (this.#head !== null && this.#head !== head) {
      throw new DpmError(
        'ERR_DPM_USAGE',
        `the sampler needs the head '${head}', the model was loaded with head '${this.#head}'`,
      );
    }
    let network = this.#networks.get(head);
    if (network === undefined) {
      network = this.#load(head);
      this.#networks.set(head, network);
      network.catch(() => this.#networks.delete(head));
    }
    return network;
  }

  async #load(head: HeadName): Promise<UNet> {
    const { unet, graph } = await loadableNetwork(this.#folder, head);
    return UNet.load(this.device, unet, graph);
  }

  async #resolve(program: Program | readonly Program[], options: RunOptions): Promise<ResolvedRun> {
    const programs = Array.isArray(program) ? (program as readonly Program[]) : [program as Program];
    programs.forEach(requireProgram);
    if (programs.length === 0) throw new DpmError('ERR_DPM_ARGUMENT', 'run needs at least one program');
    const count = checkedCount('count', options.count ?? programs.length);
    if (programs.length !== 1 && programs.length !== count) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `${programs.length} programs for ${count} samples: give one, or one per sample`,
      );
    }
    const total = count * elementCount(this.sampleShape);
    requireMemory(`count is ${count}`, total, options.format === 'uint8' ? 1 : Float32Array.BYTES_PER_ELEMENT);
    if (options.init !== undefined && options.init.length !== total) {
      const shape = [count, ...this.sampleShape].join(', ');
      throw new DpmError('ERR_DPM_TENSOR_SHAPE', `init has ${options.init.length} elements, it has to be [${shape}]`);
    }
    // What the caller does to its arrays after the call changes nothing.
    const init = options.init === undefined ? null : Float32Array.from(options.init);
    const noise = options.noise === undefined ? null : flattenNoise(options.noise, total).slice();
    const unet = await this.network(commonHead(programs));
    const { classLabels } = options;
    const labels = typeof classLabels === 'number' ? new Array<number>(count).fill(classLabels) : classLabels;
    const { format = 'float32' } = options;
    if (!imageFormats.includes(format)) {
      throw new DpmError('ERR_DPM_ARGUMENT', `format '${format}' is unknown; known: ${imageFormats.join(', ')}`);
    }
    return {
      programs,
      unet,
      count,
      seed: options.seed ?? 0,
      labels: unet.labels(labels, count),
      guidance: checkedGuidance(options, unet.info, count, this.#folder.labelForNone === 'no label' ? null : undefined),
      init,
      noise,
      batch: Math.min(checkedCount('batch', options.batch ?? DEFAULT_BATCH), count),
      options,
    };
  }

  #images(values: Float32Array | Uint8Array, count: number): ImageBatch {
    return new ImageBatch(values, [count, ...this.sampleShape], this.range);
  }

  async #runSteps(programs: readonly StepProgram[], run: ResolvedRun): Promise<RunResult> {
    const { CancelToken } = native();
    const levels = run.options.format === 'uint8';
    const cancel = new CancelToken();
    const listener = listenerOf(run.options.onProgress);
    const request = nativeRequest(
      programs,
      {
        ...run,
        snapshotEvery: run.options.snapshotEvery,
        levels: levels && isCentred(this.range),
        onProgress: listener?.call,
      },
      elementCount(this.sampleShape),
    );
    const result = await abortable(
      run.options.signal,
      () => {
        cancel.cancel();
      },
      // A run that nobody can abort need not look up between two records.
      () =>
        nativeWork(() =>
          run.unet.native.run({ ...request, cancel: run.options.signal === undefined ? null : cancel }),
        ).catch((error: unknown) => {
          listener?.rethrow();
          throw error;
        }),
    );
    // Devices convert to levels of the common range only.
    const finish = (values: Float32Array | Uint8Array): ImageBatch => {
      const images = this.#images(values, run.count);
      return levels && values instanceof Float32Array ? this.#images(images.toUint8(), run.count) : images;
    };
    return {
      images: finish(result.images),
      snapshots: result.snapshots.map(({ record, images }) => ({ record, images: finish(images) })),
    };
  }

  async #runHost(program: HostProgram, run: ResolvedRun): Promise<RunResult> {
    const { options } = run;
    if ((options.snapshotEvery ?? 0) !== 0) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'snapshotEvery has no meaning for a host program, which has no records');
    }
    const data = await abortable(
      options.signal,
      () => undefined,
      () =>
        runHostBatches(program, {
          ...run,
          shape: this.sampleShape,
          init: run.init ?? undefined,
          signal: options.signal,
          onProgress: options.onProgress,
        }),
    );
    const images = this.#images(data, run.count);
    const levels = options.format === 'uint8';
    return { images: levels ? this.#images(images.toUint8(), run.count) : images, snapshots: [] };
  }
}
