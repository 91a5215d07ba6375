import { abortError } from '../base/abort.js';
import { Closing } from '../base/closing.js';
import { DpmError, nativeWork, toDpmError } from '../base/errors.js';
import { checkOptions, instanceOf, kinds, oneOf, requireKind } from '../base/option-kinds.js';
import type { HeadName } from '../checkpoint/heads.js';
import { cancellable } from '../engine/cancellable.js';
import { sourcesOf, type TensorSources } from '../engine/checkpoint-tensors.js';
import type { Device } from '../engine/device.js';
import { pathOf } from '../files/paths.js';
import { Classifier } from '../guidance/classifier.js';
import { ImageBatch } from '../images/image-batch.js';
import { DiffusionModel } from '../model.js';
import { TextToImage } from '../text-to-image.js';
import { Autoencoder } from '../latents/autoencoder.js';
import { takenData } from './data/given-images.js';
import { runSettings } from './learning.js';
import { loadRun, type LoadedRun } from './load-run.js';
import { learnedCount, requireMemoryFor, type TrainingMemory } from './memory.js';
import type { StepMetrics } from './metrics.js';
import { trainerOptionKinds, trainingDefaults, type SavedCheckpoint, type TrainerOptions } from './options.js';
import { ratesOfSteps } from './rates.js';
import type { TrainingPart } from './run-folder/checkpoint-files.js';
import { reconstructions } from './reconstructions.js';
import { RunFolder, type DamagedCheckpoint } from './run-folder/run-folder.js';
import { takenOptions } from './taken-options.js';
import { classesOf, isAutoencoder, isCaptioned, isClassifier } from './learned-kind.js';
import { readTrainee } from './trainee.js';

/** Seconds of steps that are run at once, so that their numbers come in time and a signal is heard. */
const SECONDS_AT_ONCE = 0.25;

const MOST_AT_ONCE = 1000;

/**
 * Training of a network on images: the regression of the noise, of the image or of the velocity, of what score_sde and EDM
 * learn, and of a variance behind it (Ho et al. 2020, Nichol and Dhariwal 2021), by Adam, with an average of the weights; of a
 * variance head on a network that stays as it is (Bao et al. 2022); or of a classifier of noisy images, by the cross entropy of
 * their labels (Dhariwal and Nichol 2021). All draws are functions of seed, step and place in the batch, so that a run that is
 * stopped and goes on ends with the same weights as one that never stopped. Close it when done.
 *
 * @example
 * ```ts
 * await using trainer = await Trainer.open({ data: 'train-images-idx3-ubyte.gz', out: 'runs/digits', steps: 2000 });
 * for await (const { step, loss } of trainer) {
 *   if (step % 100 === 0) console.log(step, loss);
 * }
 * await using model = await trainer.model();
 * ```
 */
export class Trainer implements AsyncDisposable {
  /** Device of the network; the trainer closes it if it has opened it. */
  readonly device: Device;
  /** Number of steps of the run. */
  readonly steps: number;
  /** Number of steps that were done when it was opened; 0 for a run that begins. */
  readonly begun: number;
  /** Bytes that training takes. */
  readonly memory: TrainingMemory;
  /** Number of learned parameters. */
  readonly parameters: number;
  /** Number of images that are trained with. */
  readonly images: number;
  /** Number of pictures left out as they cannot be read (`skipBroken`). */
  readonly broken: number;
  /** Shape [C, H, W] of an image. */
  readonly sampleShape: readonly [channels: number, height: number, width: number];
  /** Number of classes of the images; 0: the network takes none. */
  readonly classes: number;
  /** True if a classifier learns. */
  readonly isClassifier: boolean;
  /** True if an autoencoder learns. */
  readonly isAutoencoder: boolean;
  /** True if a U-Net and a text encoder learn together, from captions. */
  readonly isTextToImage: boolean;
  /** Captions of up to 64 images, evenly among them; empty where none are learned. */
  readonly captionExamples: readonly string[];
  /** Number of captions that were cut off, as they have more tokens than the text encoder sees. */
  readonly truncatedCaptions: number;
  /** Variance head that learns; null: the network does. */
  readonly head: HeadName | null;
  /** Checkpoints that were passed over as they are damaged. */
  readonly damaged: readonly DamagedCheckpoint[];
  readonly #parts: LoadedRun;
  readonly #options: TrainerOptions;
  readonly #checkpointEvery: number;
  readonly #closing = new Closing('trainer');
  #done: number;
  /** Step of the newest checkpoint; null: there is none. */
  #saved: number | null;
  #seconds: number;
  #secondsOfStep = Infinity;
  #isBusy = false;
  /** The call that works, or the last one that did. */
  #work: Promise<unknown> = Promise.resolve();
  /** Why no further step is possible. */
  #failure: DpmError | null = null;

  private constructor(parts: LoadedRun, options: TrainerOptions) {
    const { trainee, opened, folder, begun, memory } = parts;
    const [count] = trainee.data.shape;
    const { inChannels, height, width } = trainee.trainable.network.unet;
    this.#parts = parts;
    this.#options = options;
    this.#checkpointEvery = options.checkpointEvery ?? trainingDefaults.checkpointEvery;
    this.device = opened.device;
    this.steps = trainee.settings.steps;
    this.begun = begun.step;
    this.memory = memory;
    this.parameters = learnedCount(trainee.trainable);
    this.images = count;
    this.broken = trainee.data.broken;
    this.sampleShape = [inChannels, height, width];
    this.classes = classesOf(trainee.trainable);
    this.isClassifier = isClassifier(trainee.trainable);
    this.isAutoencoder = isAutoencoder(trainee.trainable);
    this.isTextToImage = isCaptioned(trainee.trainable);
    this.captionExamples = trainee.captions?.examples ?? [];
    this.truncatedCaptions = trainee.captions?.truncated ?? 0;
    this.head = trainee.trainable.head?.name ?? null;
    this.damaged = folder?.damaged ?? [];
    this.#done = begun.step;
    this.#saved = folder?.newest?.step ?? null;
    this.#seconds = begun.seconds;
  }

  /**
   * Opens a run: reads the images and the network, and loads it. With `out`, begins a run in a folder that is new or empty,
   * or goes on with the one there.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming a wrong option, or one that the run in `out` was not begun with;
   * `ERR_DPM_UNSUPPORTED` naming what cannot be trained; `ERR_DPM_OUT_OF_MEMORY` with what it takes; the errors of
   * {@link openImages} and of `DiffusionModel.load`; `ERR_DPM_FILE` if another run trains in the folder; `ERR_DPM_ABORTED`.
   */
  static async open(options: TrainerOptions): Promise<Trainer> {
    checkOptions('Trainer.open', options, trainerOptionKinds);
    const own = takenOptions(options);
    const { out } = own;
    if (options.tensorboard === true && out === undefined) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'tensorboard needs out, the folder that its events are written into');
    }
    const data = takenData(own.data);
    const trainee = await readTrainee(own, data);
    requireMemoryFor(trainee);
    const { checkpointsKept, tensorboard } = own;
    const folder =
      out === undefined
        ? null
        : await RunFolder.open(out, {
            settings: runSettings(trainee),
            model: trainee.files,
            checkpointsKept,
            tensorboard,
          });
    try {
      return new Trainer(await loadRun(trainee, folder, own), own);
    } catch (error) {
      await folder?.close();
      throw error;
    }
  }

  /** Number of steps done. */
  get done(): number {
    return this.#done;
  }

  /**
   * Takes one step, and writes its metrics; a checkpoint if it is due.
   *
   * @throws {@link DpmError} `ERR_DPM_NOT_FINITE` naming a step whose loss or gradient is no number, which ends the run;
   * `ERR_DPM_ABORTED` once the signal has, after a checkpoint; `ERR_DPM_ARGUMENT` behind the last step or while another
   * step is taken; `ERR_DPM_FILE` if a file cannot be written; what a hook throws.
   */
  async step(): Promise<StepMetrics> {
    if (this.#done >= this.steps) {
      throw new DpmError('ERR_DPM_ARGUMENT', `all ${this.steps} steps are done`);
    }
    for (;;) {
      const [metrics] = await this.#advance(1);
      // A signal that has aborted before the step is told by the next attempt.
      if (metrics !== undefined) return metrics;
    }
  }

  /**
   * Takes all steps that are left, several at once where they are short.
   *
   * @returns The last step; null if there was none left.
   * @throws {@link DpmError} The errors of {@link Trainer.step}.
   */
  async run(): Promise<StepMetrics | null> {
    let last: StepMetrics | null = null;
    while (this.#done < this.steps) {
      const taken = await this.#advance(this.#atOnce());
      last = taken.at(-1) ?? last;
    }
    return last;
  }

  /** Takes the steps that are left, one after the other; leaving the loop writes a checkpoint where there is a folder. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StepMetrics, void, void> {
    try {
      while (this.#done < this.steps) yield await this.step();
    } finally {
      if (this.#failure === null) await this.#saveUnsaved();
    }
  }

  /**
   * Writes a checkpoint of the steps that are done, and makes the average the weights of the folder's model. Does nothing if
   * there is one already.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` without `out`, `ERR_DPM_FILE` if it cannot be written: the checkpoints before
   * it and the model are then what they were.
   */
  async save(): Promise<SavedCheckpoint> {
    const { folder } = this.#parts;
    if (folder === null) throw new DpmError('ERR_DPM_ARGUMENT', 'a trainer without out has no folder for checkpoints');
    return this.#alone(async () => {
      const step = this.#done;
      const checkpoint = { step, path: folder.checkpointPath(step) };
      if (step === this.#saved) return checkpoint;
      await folder.save({
        step,
        progress: { seconds: this.#seconds },
        part: (name) => this.#part(name),
        levelLosses: await this.#levelLosses(),
      });
      this.#saved = step;
      await this.#hook(this.#options.onCheckpoint, checkpoint);
      return checkpoint;
    });
  }

  /**
   * Writes images as an event of the steps that are done, a grid that TensorBoard shows under a tag.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` without `tensorboard`, `ERR_DPM_UNSUPPORTED` for other images than grey and
   * RGB, `ERR_DPM_FILE` if it cannot be written.
   */
  async addImages(tag: string, images: ImageBatch): Promise<void> {
    requireKind('tag', tag, kinds.string);
    requireKind('images', images, instanceOf('an ImageBatch', ImageBatch));
    const events = this.#parts.folder?.events ?? null;
    if (events === null) throw new DpmError('ERR_DPM_ARGUMENT', 'a trainer without tensorboard has no file of events');
    const grid = images.grid();
    const [, channels, height, width] = grid.shape;
    const png = grid.toPng();
    await this.#alone(() => events.addPicture(this.#done, tag, { png, channels, height, width }));
  }

  /**
   * Loads the average of the weights as a model on the trainer's device, after a checkpoint of the steps that are done. Close
   * it before the trainer.
   *
   * @throws {@link DpmError} The errors of {@link Trainer.save}; `ERR_DPM_ARGUMENT` if a classifier, an autoencoder or a pipeline learns.
   */
  async model(): Promise<DiffusionModel> {
    if (this.isClassifier) throw new DpmError('ERR_DPM_ARGUMENT', 'a classifier learns, which is no model');
    if (this.isAutoencoder) throw new DpmError('ERR_DPM_ARGUMENT', 'an autoencoder learns, which is no model');
    if (this.isTextToImage) throw new DpmError('ERR_DPM_ARGUMENT', 'a pipeline learns: pipeline() loads it');
    return this.#loaded((path, options) => DiffusionModel.load(path, options));
  }

  /**
   * Loads the average of the weights as a classifier on the trainer's device, after a checkpoint of the steps that are done.
   * Close it before the trainer.
   *
   * @throws {@link DpmError} The errors of {@link Trainer.save}; `ERR_DPM_ARGUMENT` if no classifier learns.
   */
  async classifier(): Promise<Classifier> {
    if (!this.isClassifier) throw new DpmError('ERR_DPM_ARGUMENT', 'what learns is no classifier');
    return this.#loaded((path, options) => Classifier.load(path, options));
  }

  /**
   * Loads the average of the weights as a text-to-image pipeline on the trainer's device, after a checkpoint of the steps that are
   * done. Close it before the trainer.
   *
   * @throws {@link DpmError} The errors of {@link Trainer.save}; `ERR_DPM_ARGUMENT` if none learns.
   */
  async pipeline(): Promise<TextToImage> {
    if (!this.isTextToImage) throw new DpmError('ERR_DPM_ARGUMENT', 'what learns is no pipeline');
    return this.#loaded((path, options) => TextToImage.load(path, options));
  }

  /**
   * Loads the average of the weights as an autoencoder on the trainer's device, after a checkpoint of the steps that are done.
   * Close it before the trainer.
   *
   * @throws {@link DpmError} The errors of {@link Trainer.save}; `ERR_DPM_ARGUMENT` if no autoencoder learns.
   */
  async autoencoder(): Promise<Autoencoder> {
    if (!this.isAutoencoder) throw new DpmError('ERR_DPM_ARGUMENT', 'what learns is no autoencoder');
    return this.#loaded((path, options) => Autoencoder.load(path, options));
  }

  /**
   * Shows what an autoencoder has learned: the first images of the data, and behind each what the average of the weights makes
   * of it, after a checkpoint of the steps that are done.
   *
   * @param count - Number of images of the data, fewer if it has fewer.
   * @returns Twice as many images as that.
   * @throws {@link DpmError} The errors of {@link Trainer.autoencoder}.
   */
  async reconstructions(count: number): Promise<ImageBatch> {
    requireKind('count', count, kinds.positiveInteger);
    await using autoencoder = await this.autoencoder();
    return await reconstructions(this.#parts.trainee.data, autoencoder, { count, shape: this.sampleShape });
  }

  /**
   * Reads weights, by the names of tensors in files of the network's family.
   *
   * @param which - `parameters` or `average`. Default `average`.
   */
  async tensors(which: 'parameters' | 'average' = 'average'): Promise<Map<string, Float32Array>> {
    requireKind('which', which, oneOf(['parameters', 'average']));
    return this.#alone(async () => {
      const { trainer, places, fixed } = this.#parts;
      const numbers = await nativeWork(() => trainer.read(which));
      const learned = places.gathered(numbers, trainer.places().places);
      return new Map([...[...fixed].map(([name, { data }]) => [name, data] as const), ...learned]);
    });
  }

  /**
   * Ends the run without another checkpoint, once the step or checkpoint in progress is done, lets others have its folder, and
   * releases everything. Can be called again.
   */
  async close(): Promise<void> {
    const { trainer, folder, opened } = this.#parts;
    this.#closing.close();
    await this.#work;
    await nativeWork(() => trainer.close());
    await folder?.close();
    if (opened.isOwn) await opened.device.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Loads the average of the weights from the folder, once it has that of the steps that are done. */
  async #loaded<T>(load: (path: string, options: { device: Device }) => Promise<T>): Promise<T> {
    await this.save();
    return load(pathOf('out', this.#options.out), { device: this.device });
  }

  /** Writes a checkpoint of steps that none has. */
  async #saveUnsaved(): Promise<void> {
    if (this.#parts.folder !== null && this.#done > (this.#saved ?? 0)) await this.save();
  }

  /** Number of steps without a word from JavaScript: one where somebody wants to hear of each. */
  #atOnce(): number {
    if (this.#options.onStep !== undefined) return 1;
    const wanted = Math.min(MOST_AT_ONCE, Math.max(1, Math.floor(SECONDS_AT_ONCE / this.#secondsOfStep)));
    const toCheckpoint = this.#checkpointEvery - (this.#done % this.#checkpointEvery);
    return Math.min(wanted, toCheckpoint, this.steps - this.#done);
  }

  /** Refuses a second call while one works: both would take the same step. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    this.#closing.requireOpen();
    if (this.#isBusy) throw new DpmError('ERR_DPM_ARGUMENT', 'the trainer is busy: wait for the call before this one');
    this.#isBusy = true;
    const pending = work();
    this.#work = pending.catch(() => undefined);
    try {
      return await pending;
    } finally {
      this.#isBusy = false;
    }
  }

  /** Calls a hook, which may call the trainer. */
  async #hook<T>(hook: ((value: T) => void | Promise<void>) | undefined, value: T): Promise<void> {
    if (hook === undefined) return;
    this.#isBusy = false;
    try {
      await this.#closing.during(() => hook(value));
    } finally {
      await this.#idle();
    }
  }

  /** Waits for the call that a hook has begun and not waited for, which comes before the next step. */
  async #idle(): Promise<void> {
    while (this.#isBusy) await this.#work;
  }

  /** Takes steps, fewer if the signal aborts, and writes what they gave; then a checkpoint if it is due. */
  async #advance(count: number): Promise<StepMetrics[]> {
    const { signal, onStep, onSteps } = this.#options;
    if (this.#failure !== null) throw this.#failure;
    if (signal?.aborted === true) {
      await this.#saveUnsaved();
      throw abortError(signal);
    }
    const taken = await this.#alone(async () => {
      const metrics = await this.#steps(count);
      for (const each of metrics) await this.#hook(onStep, each);
      if (metrics.length > 0) await this.#hook(onSteps, metrics);
      if (this.#failure !== null) throw this.#failure;
      return metrics;
    });
    const isDue = this.#done % this.#checkpointEvery === 0 || this.#done === this.steps;
    if (taken.length > 0 && isDue) await this.#saveUnsaved();
    return taken;
  }

  /** Takes steps, fewer where one fails behind them: that is then known as the failure of the run. */
  async #steps(count: number): Promise<StepMetrics[]> {
    const { trainee, trainer, folder } = this.#parts;
    const { batch, accumulate, steps } = trainee.settings;
    const first = this.#done;
    const { rates, averageDecays } = ratesOfSteps(first, count, steps, trainee.settings);
    const steady = { samples: null, onProgress: null, progressMilliseconds: 0 };
    try {
      const result = await cancellable(this.#options.signal, (cancel) =>
        nativeWork(() => trainer.run({ ...steady, firstStep: first, rates, averageDecays, cancel })),
      );
      const seconds = result.seconds / Math.max(1, result.losses.length);
      const metrics = Array.from(result.losses, (loss, i): StepMetrics => ({
        step: first + i + 1,
        loss,
        gradientNorm: result.norms[i] ?? NaN,
        ...(this.isClassifier && { accuracy: result.accuracies[i] ?? NaN }),
        rate: rates[i] ?? NaN,
        averageDecay: averageDecays[i] ?? NaN,
        imagesPerSecond: (batch * accumulate) / seconds,
        seconds: (this.#seconds += seconds),
      }));
      this.#done += metrics.length;
      if (metrics.length > 0) this.#secondsOfStep = seconds;
      for (const each of metrics) await folder?.record(each);
      if (result.failure === '') return metrics;
      this.#fail(new DpmError('ERR_DPM_NOT_FINITE', `step ${this.#done + 1}: ${result.failure}`));
      return metrics;
    } catch (cause) {
      throw this.#fail(cause);
    }
  }

  /** Ends the run. */
  #fail(cause: unknown): DpmError {
    const { code, message } = toDpmError(cause);
    return (this.#failure = new DpmError(code, `${message}${this.#left()}`, { cause }));
  }

  /** Says what is left of a run that has failed. */
  #left(): string {
    const { folder } = this.#parts;
    if (folder === null) return '';
    return this.#saved === null
      ? '; there is no checkpoint yet'
      : `; the last checkpoint is ${folder.checkpointPath(this.#saved)}`;
  }

  /** Reads the losses that noise levels are drawn by. */
  async #levelLosses(): Promise<Float32Array | undefined> {
    const { trainer } = this.#parts;
    const losses = await nativeWork(() => trainer.levelLosses());
    return losses.length === 0 ? undefined : losses;
  }

  /** Reads a part of a checkpoint. */
  async #part(which: TrainingPart): Promise<TensorSources> {
    const { trainer, places, fixed } = this.#parts;
    const numbers = await nativeWork(() => trainer.read(which));
    const learned = places.lent(numbers, trainer.places().places);
    const isMoment = which === 'firstMoments' || which === 'secondMoments';
    return isMoment ? learned : new Map([...sourcesOf(fixed), ...learned]);
  }
}
