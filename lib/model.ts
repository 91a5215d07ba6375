import { throwIfAborted } from './base/abort.js';
import { unknownName } from './base/checks.js';
import { DpmError } from './base/errors.js';
import { checkOptions, either, instanceOf, isList, kinds, type OptionKinds } from './base/option-kinds.js';
import type { PixelRange } from './base/pixel-range.js';
import { digestOfModel } from './checkpoint/digest.js';
import { headNames, type HeadName } from './checkpoint/heads.js';
import type { ImageSize } from './checkpoint/image-size.js';
import { loadNetwork, type OpenedDevice } from './checkpoint/load-network.js';
import { loadableNetwork, type ModelFolder } from './checkpoint/model-folder.js';
import { Device, deviceOptionKinds, type DeviceOptions, type MemoryUse } from './engine/device.js';
import { Network } from './engine/network.js';
import type { Program, ProgramHead } from './program/program.js';
import { runOnNetwork, type RunResult } from './run/network-run.js';
import { resolveRun, type RunModel } from './run/resolve.js';
import { runOptionKinds, type RunOptions } from './run/options.js';
import { streamOnNetwork, type StreamedImage } from './run/stream.js';
import { samplers, type OptionsOfSampler, type SamplerName } from './samplers/index.js';
import type { SamplerOptions } from './samplers/options.js';
import { splitOptions } from './samplers/split-options.js';
import { compileSampler, taskOf } from './samplers/compile.js';
import type { NetworkTime } from './schedule/network-time.js';
import { scheduleKind, type NoiseSchedule } from './schedule/noise-schedule.js';
import { guidedOutputShift } from './schedule/prediction.js';
import { Batcher } from './batch/batcher.js';
import type { BatcherOptions } from './batch/options.js';
import type { GammaTable } from './variance/gamma.js';

/** Options of {@link DiffusionModel.load}. */
export interface LoadOptions extends Omit<DeviceOptions, 'device'> {
  /**
   * Device by name, as in {@link DeviceOptions}, which the model opens and closes; or an open one: models on one device
   * share its threads and memory. An open device excludes the other options of devices.
   */
  device?: string | Device | undefined;
  /** Variance head that `unet.forward` evaluates. Samplers that need one load it themselves. Default null: none. */
  head?: HeadName | null | undefined;
  /**
   * Configuration of a checkpoint file: a JSON or YAML file (`{ family, … }` with the original's own options, or that
   * of a diffusers network), or the name of a preset such as `ddpm-cifar10`. Folders contain their own configuration.
   */
  config?: string | undefined;
  /**
   * Size of the images, if not the configuration's: both sides have to be divisible by 2 as often as the network halves
   * its maps. Networks are best at the size that they were trained with.
   */
  imageSize?: ImageSize | undefined;
  /** Map of the state's time to the network's. Default: `index`, or the `networkTime` of the schedule. */
  networkTime?: NetworkTime | undefined;
  /**
   * Noise schedule that the network was trained with, if the folder has none or another is wanted: a schedule, or the
   * path of a `scheduler_config.json` or of its folder.
   */
  schedule?: NoiseSchedule | string | undefined;
  /** Signal that aborts loading before the next weight. */
  signal?: AbortSignal | undefined;
}

const loadOptionKinds: OptionKinds<LoadOptions> = {
  ...deviceOptionKinds,
  device: either(kinds.string, instanceOf('a Device', Device)),
  head: either(kinds.string, kinds.null),
  config: kinds.string,
  imageSize: kinds.any,
  networkTime: either(kinds.string, kinds.function),
  schedule: either(scheduleKind, kinds.string),
  signal: kinds.signal,
};

/** Options of sampling: a sampler by its name, its own options and those of a run; without `N`, of any sampler. */
export type SampleOptions<N extends SamplerName = SamplerName> = {
  [K in N]: { sampler: K } & RunOptions & OptionsOfSampler<K>;
}[N];

/** Options of {@link DiffusionModel.sample} without a sampler: those of `scheduler` and of a run. */
export type SchedulerSampleOptions = { sampler?: undefined } & RunOptions & OptionsOfSampler<'scheduler'>;

/** Options for a sampler that is known only when the program runs; it refuses options that are not its own. */
export type AnySampleOptions = { sampler: SamplerName } & RunOptions & SamplerOptions;

/** Sets the default of the guides' form: the mean for reverse Markov chains, the score for others. */
function withGuideForm(sampler: SamplerName, run: RunOptions): RunOptions {
  // A value that is no list is refused where the run begins.
  if (!isList(run.guides) || run.guides.length === 0 || run.guideForm !== undefined) return run;
  return { ...run, guideForm: samplers[sampler].facts.bound === true ? 'mean' : 'score' };
}

/** Diffusion model on a device: its network, noise schedule and tables. Close it when done. */
export class DiffusionModel {
  /** Network of the model; it has a second output if the model was loaded with a `head`. */
  readonly unet: Network;
  /** Noise schedule that the network was trained with. */
  readonly schedule: NoiseSchedule;
  /** Table of the model's `gamma.json`, the default of the analytic samplers. */
  readonly gamma: GammaTable | null;
  /** Device of the networks; the model closes it if it has opened it. */
  readonly device: Device;
  /** Shape [C, H, W] of one sample. */
  readonly sampleShape: readonly [channels: number, height: number, width: number];
  readonly #folder: ModelFolder;
  readonly #head: HeadName | null;
  readonly #networks = new Map<HeadName | null, Promise<Network>>();
  readonly #batchers = new Set<Batcher>();
  readonly #ownsDevice: boolean;
  #isClosed = false;
  #digest: Promise<string> | undefined;

  private constructor({ device, isOwn }: OpenedDevice, folder: ModelFolder, network: Network, head: HeadName | null) {
    this.device = device;
    this.#ownsDevice = isOwn;
    this.unet = network;
    this.schedule = folder.schedule;
    this.gamma = folder.gamma;
    this.sampleShape = [network.info.inChannels, network.info.height, network.info.width];
    this.#folder = folder;
    this.#head = head;
    this.#networks.set(head, Promise.resolve(network));
  }

  /**
   * Loads a model.
   *
   * @param path - The path or file URL of a folder in the diffusers layout (`unet/`, `scheduler/` and, where there are
   * any, `heads/` and `gamma.json`); of a folder of another family (`config.json` with the field `family`, and
   * `model.safetensors`); or of a checkpoint file, with `config`. If there is no such file or folder: the name of a
   * model that this package brings ({@link bundledModels}), or `OWNER/NAME` of the Hugging Face hub, found in the hub's
   * cache on this machine.
   * @throws {@link DpmError} naming the wrong file, tensor, field or device; `ERR_DPM_ABORTED` if aborted.
   *
   * @example
   * ```ts
   * await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
   * ```
   */
  static async load(path: string | URL, options: LoadOptions = {}): Promise<DiffusionModel> {
    checkOptions('DiffusionModel.load', options, loadOptionKinds);
    const { head = null, networkTime, config, imageSize, schedule, signal, ...deviceOptions } = options;
    if (head !== null && !headNames.includes(head)) throw unknownName('head', head, headNames);
    const reading = { config, imageSize, schedule, ...(networkTime !== undefined && { networkTime }) };
    const { opened, folder, network } = await loadNetwork('model', path, {
      head,
      reading,
      device: deviceOptions,
      signal,
    });
    return new DiffusionModel(opened, folder, network, head);
  }

  /**
   * Draws samples; without a `sampler` by the model's scheduler file (`scheduler`).
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_ABORTED` if aborted.
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
    const { sampler, own, run } = splitOptions<RunOptions>(options, runOptionKinds);
    return this.run(this.#compile(sampler, own), withGuideForm(sampler, run));
  }

  /**
   * Compiles the program that {@link DiffusionModel.sample} runs, to know its cost and check its options beforehand.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_UNSUPPORTED` if the model lacks a
   * needed part.
   */
  program(options: AnySampleOptions): Program {
    const { sampler, own } = splitOptions<RunOptions>(options, runOptionKinds);
    return this.#compile(sampler, own);
  }

  #compile(sampler: SamplerName, own: SamplerOptions): Program {
    return compileSampler(this, sampler, own);
  }

  /**
   * Runs a program on the network, or one program per sample.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_ABORTED` if aborted.
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
    checkOptions('run', options, runOptionKinds);
    throwIfAborted(options.signal);
    return runOnNetwork(await resolveRun(this.#runModel(), program, options));
  }

  /**
   * Draws samples as {@link DiffusionModel.sample} does and yields each as soon as its batch is done: a large `count`
   * needs no large memory. Leaving the loop ends the work.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option; while it runs, `ERR_DPM_ABORTED` if aborted.
   *
   * @example
   * ```ts
   * for await (const { sample, image } of model.stream({ sampler: 'ddim', steps: 25, count: 100_000 })) {
   *   await image.save(`digits/${sample}.png`);
   * }
   * ```
   */
  stream<N extends SamplerName>(
    options: ({ sampler: N } & RunOptions & OptionsOfSampler<N>) | SchedulerSampleOptions,
  ): AsyncGenerator<StreamedImage, void, void> {
    const { sampler, own, run } = splitOptions<RunOptions>(options, runOptionKinds);
    checkOptions('stream', run, runOptionKinds);
    return streamOnNetwork(this.#runModel(), this.#compile(sampler, own), withGuideForm(sampler, run));
  }

  /**
   * Opens a batch that requests join and leave at every evaluation: for servers, whose requests come at any time.
   * Several batches can be open, each with states of its own.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_OUT_OF_MEMORY` if it needs more than
   * `memoryBudget` or the available memory.
   *
   * @example
   * ```ts
   * await using batcher = await model.batcher({ maxWait: 5000 });
   * const { images } = await batcher.sample({ sampler: 'ddim', steps: 25, seed: 1 });
   * ```
   */
  async batcher(options: BatcherOptions = {}): Promise<Batcher> {
    const { info, native } = this.unet;
    const [channels, height, width] = this.sampleShape;
    const map = height * width;
    const batcher = await Batcher.open(
      {
        name: this.#folder.path,
        run: this.#runModel(),
        sizes: {
          image: channels * map,
          out: info.outChannels * map,
          head: this.unet.hasHead ? channels * map : 0,
          rowBytes: native.info.rowBytes,
        },
        isConditional: info.classes > 0,
        compile: (sampler, own) => this.#compile(sampler, own),
        task: (sampler, own) => taskOf(this, sampler, own),
        released: (closed) => {
          this.#batchers.delete(closed);
        },
        forward: async (x, t, classLabels) => (await this.unet.forward(x, t, { classLabels })).out,
      },
      options,
    );
    this.#batchers.add(batcher);
    if (!this.#isClosed) return batcher;
    // The model was closed while the batcher was opened.
    await batcher.close();
    throw new DpmError('ERR_DPM_CLOSED', 'the model is closed');
  }

  #runModel(): RunModel {
    return {
      sampleShape: this.sampleShape,
      range: this.range,
      labelForNone: this.#folder.labelForNone === 'no label' ? null : undefined,
      outputShift: (networkTime, prediction) => guidedOutputShift(this.schedule, networkTime, prediction),
      network: (head) => this.network(head),
    };
  }

  /** Values of black and white in samples: -1 and 1, or 0 and 1 for networks that centre their input themselves. */
  get range(): PixelRange {
    return this.schedule.defaults.dataRange;
  }

  /**
   * Computes the SHA-256 of the model's configuration and weights as hexadecimal digits, from the names and contents of
   * all such files. Results depend on it, and on the request, the options of {@link DiffusionModel.load}, the device
   * and this package.
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` if a file can no longer be read.
   */
  digest(): Promise<string> {
    return (this.#digest ??= digestOfModel(this.#folder.path));
  }

  /** Bytes in use on the model's device, see {@link MemoryUse}. */
  memory(): MemoryUse {
    return this.device.memory();
  }

  /**
   * Rejects queued work with `ERR_DPM_CLOSED`, and waits for functions written in JavaScript, such as guides; lets
   * running work end and releases everything. On a device that the model has not opened, only queued work of its
   * batchers is rejected. Can be called again.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    const networks = [...this.#networks.values()];
    await Promise.all([...this.#batchers].map((batcher) => batcher.close()));
    if (this.#ownsDevice) await this.device.close();
    await Promise.all(networks.map((network) => network.then((loaded) => loaded.close()).catch(() => undefined)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Describes the model in five lines for `console.log`. @internal */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const { parameters, multiplyAdds, classes } = this.unet.info;
    const [black, white] = this.range;
    const { schedule, device } = this;
    const heads = this.#folder.heads.length === 0 ? '' : `, heads ${this.#folder.heads.join(', ')}`;
    return [
      `DiffusionModel ${this.#folder.path} (${this.#folder.family})`,
      `  images   ${this.sampleShape.join(' x ')}, ${black} to ${white}${classes === 0 ? '' : `, ${classes} classes`}`,
      `  network  ${parameters.toLocaleString('en')} parameters, ${(multiplyAdds / 1e9).toFixed(3)} G multiply-adds${heads}`,
      `  schedule ${schedule.name}, ${schedule.steps} steps, predicts ${schedule.defaults.prediction}`,
      `  device   ${device.name}: ${device.description}, ${device.threads} threads`,
    ].join('\n');
  }

  /** Loads, when first needed, the network with the second output that a program reads. @internal */
  async network(head: ProgramHead | null): Promise<Network> {
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

  async #load(head: HeadName): Promise<Network> {
    const { unet, graph } = await loadableNetwork(this.#folder, head);
    return Network.load(this.device, unet, graph, { weightsOf: this.unet });
  }
}
