import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import {
  belowOne,
  either,
  fromZero,
  instanceOf,
  integerBetween,
  kinds,
  oneOf,
  probability,
  seedKind,
  type OptionKinds,
} from '../base/option-kinds.js';
import { headNames, type HeadName } from '../checkpoint/heads.js';
import { headModes, type HeadMode } from '../checkpoint/trainable-head.js';
import { Device, deviceOptionKinds, type DeviceOptions } from '../engine/device.js';
import { recomputeFact } from '../engine/evaluation.js';
import type { RecomputePolicy } from '../engine/binding.js';
import type { OpenedImages } from './data/open-images.js';
import { openImagesOptionFacts } from './data/options.js';
import type { StepMetrics } from './metrics.js';
import { averageOptionFacts, rateOptionFacts, type AverageOptions, type RateOptions } from './rates.js';
import { runFolderFacts } from './run-folder/run-folder.js';

/** Every {@link LearnedPrediction}. */
export const learnedPredictions = ['epsilon', 'x0', 'v'] as const;

/** What a network learns to predict: the noise, the image, or the velocity alpha eps - sigma x_0. */
export type LearnedPrediction = (typeof learnedPredictions)[number];

/** Ways of drawing the noise levels of samples. */
export const levelSamplings = ['uniform', 'loss-second-moment'] as const;

/** Way of drawing the noise levels of samples. */
export type LevelSampling = (typeof levelSamplings)[number];

/** A checkpoint of a run. */
export interface SavedCheckpoint {
  /** Number of steps done. */
  readonly step: number;
  /** Its folder. */
  readonly path: string;
}

/** Options of the steps of training. */
export interface TrainingOptions extends RateOptions, AverageOptions {
  /** Number of steps of the run. Default 5,000. */
  steps?: number | undefined;
  /** Number of images evaluated at once. Default 64. */
  batch?: number | undefined;
  /** Number of batches whose gradients are added up for one step. Default 1. */
  accumulate?: number | undefined;
  /** Seed of the initial weights and of all draws: an integer from 0, or a bigint below 2^64. Default 0. */
  seed?: number | bigint | undefined;
  /** Largest norm of the gradient of all weights, to which it is scaled down; 0: as it is. Default 1. */
  clip?: number | undefined;
  /** Share of itself that Adam's mean of gradients keeps. A number from 0 to below 1. Default 0.9. */
  adamBeta1?: number | undefined;
  /** Share of itself that Adam's mean of squares keeps. A number from 0 to below 1. Default 0.999. */
  adamBeta2?: number | undefined;
  /** Addend of Adam's root. A positive number. Default 1e-8. */
  adamEpsilon?: number | undefined;
  /** Decay of all weights in a step, a factor of the rate (AdamW). Default 0: that is Adam. */
  weightDecay?: number | undefined;
  /**
   * Pixels by which images are higher and wider than what is learned: a window of them, at a place that is drawn each time
   * (`resize` brings images to the sides with the margin). Default 0.
   */
  cropMargin?: number | undefined;
  /** True: half of the images are mirrored, left and right. Default false. */
  flips?: boolean | undefined;
  /**
   * Probability that an element of a map drops out before the second convolution of each residual block. From 0 to below 1.
   * Default: that of the network's configuration, 0 for most.
   */
  dropout?: number | undefined;
  /**
   * Probability that an image's class is replaced by that of no class, for classifier-free guidance. From 0 to 1. Default 0,
   * and 0.1 where the network is not given and has classes.
   */
  labelDropout?: number | undefined;
  /**
   * Probability that the text of an image is replaced by the empty one, for classifier-free guidance. From 0 to 1. Default 0.1
   * with captions.
   */
  captionDropout?: number | undefined;
  /**
   * Variance head that learns on the network, which stays as it is: the expected squared error of its noise (`npr`), the
   * expected squared noise (`sn`) (Bao et al. 2022), or the curvature of the noised data's log density, by one probe a sample
   * (`ocm`) (Ou et al. 2024), which takes a derivative of the network in every step. The network is then a model that predicts the noise: in diffusers' layout, or of the families of Ho and OpenAI, whose file has
   * place for one head.
   * Default: the network itself learns.
   */
  head?: HeadName | undefined;
  /**
   * What the head sees: the network's last map (`simple`), or what a residual block of its own makes of it (`complex`).
   * Default: as the other heads of the model, else `simple`.
   */
  headMode?: HeadMode | undefined;
  /**
   * True: a classifier learns to tell the class of noisy images, for guidance and as the extractor of a translation; one of
   * `network` does without the option. Default false; without `network` a small classifier learns.
   */
  classifier?: boolean | undefined;
  /**
   * True: an autoencoder learns to give back images from latents, in which a network can learn then; a `network` that is an
   * `AutoencoderTiny` does without the option. Default false; without `network` a small autoencoder learns, whose latents have a fourth of the sides.
   */
  autoencoder?: boolean | undefined;
  /** What the network learns to predict. Default: the prediction of its noise schedule, the noise for most. */
  prediction?: LearnedPrediction | undefined;
  /**
   * How the noise levels of samples are drawn: evenly, or more often where losses are large, by the root of the mean square of
   * each level's last ten losses (Nichol and Dhariwal 2021, section 3.3), whose weights make up for it. Default `uniform`.
   */
  levelSampling?: LevelSampling | undefined;
  /** Gamma of the loss's min-SNR weights (Hang et al. 2023), 5 there; 0: all weights are 1. Default 0. */
  snrGamma?: number | undefined;
  /** Part of the network's maps that is computed again for the gradients, not kept. Default `norms`. */
  recompute?: RecomputePolicy | undefined;
  /** Interval of checkpoints in steps; the last step has one, too. Default 500. */
  checkpointEvery?: number | undefined;
  /** Number of checkpoints that are kept, the newest ones. Default 2. */
  checkpointsKept?: number | undefined;
  /**
   * True: the metrics of each step are written into the folder of the run as events, too, which TensorBoard shows, beside the
   * images that `Trainer.addImages` gets. Default false.
   */
  tensorboard?: boolean | undefined;
}

/** Options of {@link Trainer.open}. */
export interface TrainerOptions extends TrainingOptions, Omit<DeviceOptions, 'device'> {
  /** Images, or the path of the folder or file that {@link openImages} opens. */
  data: string | URL | OpenedImages;
  /**
   * Texts of the images, which a text encoder and a U-Net that sees its states learn together, for text to image: the path of a
   * file of lines of JSON, each with `text`, a text or a list of them, and `file_name`, a picture's name beside it, or `index`,
   * an image's place in a file of all; or an array with a text, or a list of them, for each image. Of several one is drawn each
   * time. It takes `latents`. Default: none.
   */
  captions?: string | URL | readonly (string | readonly string[])[] | undefined;
  /**
   * Folder of the autoencoder in whose latents captions are learned, as {@link Trainer.open} makes one. Latents are scaled to a
   * mean square of 1 where its configuration has no `scaling_factor`. Default: that of the pipeline that `network` is.
   */
  latents?: string | URL | undefined;
  /**
   * Network: a configuration, as an object, a JSON or YAML file or the name of a preset, that begins with random weights;
   * or a model as `DiffusionModel.load` takes it, that goes on from its weights. For captions: the configurations `unet` and
   * `text_encoder` and, if it is not the default, that of the `scheduler` in one object or JSON file, or a pipeline's folder. Default:
   * a small network for the images.
   */
  network?: string | URL | Readonly<Record<string, unknown>> | undefined;
  /** Configuration of a checkpoint file that `network` is. */
  config?: string | undefined;
  /**
   * Noise schedule of a diffusers network: the path of a `scheduler_config.json`, or of its folder. Default: that of the
   * network's folder, else DDPM's.
   */
  schedule?: string | undefined;
  /**
   * Folder of the run, which receives the model, checkpoints and metrics; a run that is there goes on. Default: nothing is
   * written.
   */
  out?: string | URL | undefined;
  /** Device by name, which the trainer opens and closes, or an open one. Default `auto`. */
  device?: string | Device | undefined;
  /** False: the labels of the data are left out. Default true. */
  labels?: boolean | undefined;
  /** True: images of other sides are brought to the network's. Default false. */
  resize?: boolean | undefined;
  /** True: pictures that cannot be read are left out, and counted. Default false. */
  skipBroken?: boolean | undefined;
  /** Signal that ends the run after the step it is in, with a checkpoint where there is a folder. */
  signal?: AbortSignal | undefined;
  /** Function that receives finished and total numbers of pictures while a folder is read. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Function that receives each step; the next one waits for what it returns. So every step is run alone. */
  onStep?: ((step: StepMetrics) => void | Promise<void>) | undefined;
  /**
   * Function that receives steps as they have been run, in order: short ones come several at once, about four times a second,
   * without a word from JavaScript between them. The next ones wait for what it returns.
   */
  onSteps?: ((steps: readonly StepMetrics[]) => void | Promise<void>) | undefined;
  /** Function that receives each checkpoint once it is written; the next step waits for what it returns. */
  onCheckpoint?: ((checkpoint: SavedCheckpoint) => void | Promise<void>) | undefined;
}

/** Largest numbers that the engine takes of steps, of images at once, and of pixels around a window. */
const [MOST_STEPS, MOST_BATCH, MOST_MARGIN] = [2 ** 31 - 1, 65_536, 65_535];

/** Facts about each option of {@link TrainingOptions}. */
export const trainingOptionFacts = {
  steps: { kind: integerBetween(1, MOST_STEPS), help: 'steps of the run', standard: 5000, value: 'N' },
  batch: { kind: integerBetween(1, MOST_BATCH), help: 'images evaluated at once', standard: 64, value: 'N' },
  accumulate: {
    kind: integerBetween(1, MOST_BATCH),
    help: 'batches whose gradients are added up for one step',
    standard: 1,
    value: 'N',
  },
  seed: { kind: seedKind, help: 'seed of initial weights and of all draws', standard: 0, value: 'INT' },
  ...rateOptionFacts,
  ...averageOptionFacts,
  clip: { kind: fromZero, help: "largest norm of all weights' gradient, 0: any", standard: 1, value: 'NORM' },
  adamBeta1: { kind: belowOne, help: "share that Adam's mean of gradients keeps", standard: 0.9, value: 'B' },
  adamBeta2: { kind: belowOne, help: "share that Adam's mean of squares keeps", standard: 0.999, value: 'B' },
  adamEpsilon: { kind: kinds.positive, help: "addend of Adam's root", standard: 1e-8, value: 'E' },
  weightDecay: { kind: fromZero, help: 'decay of all weights, a factor of the rate (AdamW)', standard: 0, value: 'D' },
  cropMargin: {
    kind: integerBetween(0, MOST_MARGIN),
    help: 'pixels by which images are higher and wider than what is learned, a window that is drawn each time',
    standard: 0,
    value: 'N',
  },
  flips: { kind: kinds.boolean, help: 'mirrors half of the images, left and right', standard: false },
  dropout: {
    kind: belowOne,
    help: 'probability that an element drops out before the second convolution of a residual block',
    otherwise: "that of the network's configuration",
    value: 'P',
  },
  labelDropout: {
    kind: probability,
    help: "probability that an image's class is replaced by that of no class",
    otherwise: '0; 0.1 where the network is not given',
    value: 'P',
  },
  captionDropout: {
    kind: probability,
    help: 'probability that the text of an image is replaced by the empty one',
    otherwise: '0.1 with captions',
    value: 'P',
  },
  head: {
    kind: oneOf(headNames),
    help: `variance head that learns on the network, which stays as it is: ${headNames.join(', ')}`,
    otherwise: 'the network learns',
    value: 'NAME',
  },
  headMode: {
    kind: oneOf(headModes),
    help: "what the head sees: the network's last map, or that behind a block of its own",
    otherwise: 'that of the other heads, else simple',
    value: 'NAME',
  },
  classifier: {
    kind: kinds.boolean,
    help: 'a classifier of noisy images learns, from their labels, for guidance and translation',
    standard: false,
  },
  autoencoder: {
    kind: kinds.boolean,
    help: 'an autoencoder learns to give back images from latents, in which a network can learn then',
    standard: false,
  },
  prediction: {
    kind: oneOf(learnedPredictions),
    help: `what the network learns to predict: ${learnedPredictions.join(', ')}`,
    otherwise: 'that of its noise schedule',
    value: 'NAME',
  },
  levelSampling: {
    kind: oneOf(levelSamplings),
    help: `how noise levels are drawn: ${levelSamplings.join(', ')}`,
    standard: 'uniform',
    value: 'NAME',
  },
  snrGamma: { kind: fromZero, help: "gamma of the loss's min-SNR weights, 0: all are 1", standard: 0, value: 'G' },
  recompute: { ...recomputeFact, standard: 'norms' },
  checkpointEvery: {
    kind: kinds.positiveInteger,
    help: 'steps between two checkpoints; the last step has one, too',
    standard: 500,
    value: 'N',
  },
  ...runFolderFacts,
} as const satisfies OptionFacts<TrainingOptions>;

/** Defaults of {@link TrainingOptions}. */
export const trainingDefaults = standardsOf(trainingOptionFacts);

/** Kind of each option of {@link TrainerOptions}. */
export const trainerOptionKinds: OptionKinds<TrainerOptions> = {
  ...kindsOf<TrainingOptions>(trainingOptionFacts),
  ...deviceOptionKinds,
  data: kinds.any,
  captions: kinds.any,
  latents: kinds.any,
  network: kinds.any,
  config: kinds.string,
  schedule: kinds.string,
  out: kinds.any,
  device: either(kinds.string, instanceOf('a Device', Device)),
  labels: openImagesOptionFacts.labels.kind,
  resize: openImagesOptionFacts.resize.kind,
  skipBroken: openImagesOptionFacts.skipBroken.kind,
  signal: kinds.signal,
  onProgress: kinds.function,
  onStep: kinds.function,
  onSteps: kinds.function,
  onCheckpoint: kinds.function,
};
