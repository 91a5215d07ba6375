import { throwIfAborted, untilAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import {
  defaultAutoencoder,
  readGivenAutoencoder,
  trainableAutoencoder,
  type GivenAutoencoder,
} from '../checkpoint/pipelines/trainable-autoencoder.js';
import { readTrainable, trainableOf, type TrainableNetwork } from '../checkpoint/trainable.js';
import { readCaptioned, type CaptionedTrainee } from './captions/captioned-trainee.js';
import type { TokenizedCaptions } from './captions/tokenized-captions.js';
import { defaultClassifier, defaultNetwork } from './default-network.js';
import { withDropout } from './dropout.js';
import { classesOf, isClassifier, learnsRange } from './learned-kind.js';
import {
  requireLevels,
  requireLevelSampling,
  requireOptionsOfAutoencoder,
  requireOptionsOfClassifier,
  requireOptionsOfHead,
  requireOptionsOfRange,
  requireOptionsOfTexts,
  requireTrainable,
} from './option-checks.js';
import { readData, type GivenData } from './data/given-images.js';
import type { Prediction } from '../schedule/defaults.js';
import type { OpenedImages } from './data/open-images.js';
import type { OpenImagesOptions } from './data/options.js';
import { filesOfNetwork, type ModelFiles } from './run-folder/model-files.js';
import { learnedPredictions, trainingDefaults, type LearnedPrediction, type TrainerOptions } from './options.js';
import { settledAverage, settledRates } from './rates.js';
import type { TakenOptions } from './taken-options.js';

/** Share of texts that are dropped where a call says nothing. */
const STANDARD_CAPTION_DROPOUT = 0.1;

/** Options with what is meant where they are absent. */
export type SettledOptions = ReturnType<typeof settledOptions>;

/** A network, the images it learns, and how. */
export interface Trainee {
  readonly trainable: TrainableNetwork;
  readonly data: OpenedImages;
  readonly settings: SettledOptions;
  readonly prediction: Prediction;
  readonly dropout: number;
  readonly labelDropout: number;
  /** Label that takes the place of dropped ones; -1: none. */
  readonly nullLabel: number;
  /** Texts of the images; null: the network sees none. */
  readonly captions: TokenizedCaptions | null;
  readonly captionDropout: number;
  /** The files of the model that learns. */
  readonly files: ModelFiles;
}

/** Fills in what absent options mean. */
function settledOptions(options: TrainerOptions) {
  const {
    steps = trainingDefaults.steps,
    batch = trainingDefaults.batch,
    accumulate = trainingDefaults.accumulate,
    seed = trainingDefaults.seed,
    clip = trainingDefaults.clip,
    adamBeta1 = trainingDefaults.adamBeta1,
    adamBeta2 = trainingDefaults.adamBeta2,
    adamEpsilon = trainingDefaults.adamEpsilon,
    weightDecay = trainingDefaults.weightDecay,
    cropMargin = trainingDefaults.cropMargin,
    flips = trainingDefaults.flips,
    snrGamma = trainingDefaults.snrGamma,
    levelSampling = trainingDefaults.levelSampling,
  } = options;
  const steady = { steps, batch, accumulate, seed, clip, adamBeta1, adamBeta2, adamEpsilon, weightDecay };
  return {
    ...steady,
    cropMargin,
    flips,
    snrGamma,
    levelSampling,
    ...settledRates(options, steps),
    ...settledAverage(options, steps),
  };
}

/**
 * Finds the autoencoder that is to learn, for images of a number of channels; null: another network is.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming an option that it has no use for.
 */
async function autoencoderOf(options: TakenOptions): Promise<((channels: number) => GivenAutoencoder) | null> {
  const { network, autoencoder = false } = options;
  const found = network === undefined ? null : await readGivenAutoencoder(network);
  if (found === null && !autoencoder) return null;
  if (found === null && network !== undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'autoencoder: network is none');
  }
  requireOptionsOfAutoencoder(options);
  return found === null ? defaultAutoencoder : () => found;
}

const predictionTypes = { epsilon: 'epsilon', x0: 'sample', v: 'v_prediction' } as const;

/** Finds what the network learns to predict, and lets its scheduler say so. */
function withPrediction(
  trainable: TrainableNetwork,
  wanted: LearnedPrediction | undefined,
): { trainable: TrainableNetwork; prediction: Prediction } {
  const own = trainable.schedule.defaults.prediction;
  if (wanted === undefined || wanted === own) return { trainable, prediction: own };
  const { scheduler, source } = trainable;
  // The files of schedulers of other predictions have no word for these.
  if (scheduler === null || !learnedPredictions.some((name) => name === own)) {
    throw new DpmError('ERR_DPM_ARGUMENT', `prediction: the networks of ${source} predict ${own}`);
  }
  const changed = { ...scheduler, prediction_type: predictionTypes[wanted] };
  return { trainable: { ...trainable, scheduler: changed }, prediction: wanted };
}

/** Lets the scheduler of a network that learns its variance say so, as its samplers would not know else. */
function withLearnedVariance(trainable: TrainableNetwork): TrainableNetwork {
  const { scheduler } = trainable;
  if (scheduler === null || !learnsRange(trainable)) return trainable;
  return { ...trainable, scheduler: { ...scheduler, variance_type: 'learned_range' } };
}

function largestLabel(labels: Int32Array): number {
  return labels.reduce((largest, label) => Math.max(largest, label), 0);
}

/** Shape of the windows of images. */
function windowOf({ shape: [, channels, height, width] }: OpenedImages, margin: number): [number, number, number] {
  if (margin < Math.min(height, width)) return [channels, height - margin, width - margin];
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `cropMargin: ${margin} pixels leave nothing of images of ${height} x ${width}`,
  );
}

/** Refuses labels that the network does not know, and finds those that it learns; null: it takes none. */
function learnedLabels(trainable: TrainableNetwork, { labels }: OpenedImages): Int32Array | null {
  const { source } = trainable;
  const classes = classesOf(trainable);
  if (classes === 0) return null;
  if (labels === null) {
    throw new DpmError('ERR_DPM_ARGUMENT', `the network ${source} has ${classes} classes, the data have no labels`);
  }
  const largest = largestLabel(labels);
  if (largest < classes) return labels;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `the data have the label ${largest}, the network ${source} ${classes} classes`,
  );
}

/** Finds the label that stands for no class where labels are dropped; -1: none. */
function labelOfNone(
  { network, source, labelForNone }: TrainableNetwork,
  labels: Int32Array | null,
  share: number,
): number {
  if (share === 0) return -1;
  if (labels === null) throw new DpmError('ERR_DPM_ARGUMENT', `labelDropout: the network ${source} takes no classes`);
  if (labelForNone === 'no label') return -1;
  const last = network.unet.classes - 1;
  if (largestLabel(labels) < last) return last;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `labelDropout: the last class of ${source}, ${last}, stands for none, but data have it`,
  );
}

/** A network and its images, before options have changed it. */
type FoundTrainee = Pick<CaptionedTrainee, 'trainable' | 'images'> &
  Partial<Pick<CaptionedTrainee, 'captions' | 'encoded'>>;

/** Options of reading images. */
function readingOf({ labels, resize, skipBroken, signal, onProgress }: TakenOptions): OpenImagesOptions {
  return { labels, resize, skipBroken, signal, onProgress };
}

/** Reads images for which nobody has said a network, and makes the default one for them. */
async function withDefaultNetwork(options: TakenOptions, data: GivenData, margin: number): Promise<FoundTrainee> {
  const { head, config, schedule, classifier = false } = options;
  if (head !== undefined) throw new DpmError('ERR_DPM_ARGUMENT', 'head: a head learns on a model: give network');
  if (config !== undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'config is for a network that is a checkpoint file');
  }
  const images = await readData(data, readingOf(options));
  const shape = windowOf(images, margin);
  const classes = images.labels === null ? 0 : largestLabel(images.labels) + 1;
  if (classifier && classes === 0) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'classifier: the data have no labels to learn');
  }
  const [defaultOf, source] = classifier
    ? [defaultClassifier, 'the default classifier']
    : [defaultNetwork, 'the default network'];
  return { images, trainable: await trainableOf(defaultOf(shape, classes), source, schedule) };
}

/** Finds what learns, and reads its images. */
async function findTrainee(options: TakenOptions, data: GivenData, margin: number): Promise<FoundTrainee> {
  const { network, captions, config, schedule, head, headMode } = options;
  if (captions !== undefined) {
    const images = await readData(data, { ...readingOf(options), labels: false });
    return readCaptioned(options, captions, images, typeof data === 'string' ? data : null);
  }
  const autoencoder = await autoencoderOf(options);
  if (autoencoder !== null) {
    const images = await readData(data, readingOf(options));
    const shape = windowOf(images, margin);
    return { images, trainable: trainableAutoencoder(autoencoder(shape[0]), shape) };
  }
  if (network === undefined) return withDefaultNetwork(options, data, margin);
  const trainable = await readTrainable(network, { config, schedule, head, headMode });
  requireTrainable(trainable);
  const { inChannels, height, width } = trainable.network.unet;
  const shape = [inChannels, height + margin, width + margin] as const;
  return { trainable, images: await readData(data, { ...readingOf(options), shape }) };
}

/**
 * Reads what options name: the network and the images.
 *
 * @param data - Data as they were when the call began.
 * @throws {@link DpmError} naming the file, field or option.
 */
export async function readTrainee(options: TakenOptions, data: GivenData): Promise<Trainee> {
  const { network, signal } = options;
  const settings = settledOptions(options);
  requireOptionsOfTexts(options);
  const found = await untilAborted(signal, () => findTrainee(options, data, settings.cropMargin));
  throwIfAborted(signal);
  const { captions = null, encoded } = found;
  requireTrainable(found.trainable);
  const { trainable: predicting, prediction } = withPrediction(
    withLearnedVariance(found.trainable),
    options.prediction,
  );
  const { trainable, dropout } = withDropout(predicting, options.dropout);
  requireLevels(trainable, prediction);
  requireOptionsOfClassifier(trainable, options);
  requireOptionsOfHead(trainable, options, prediction);
  requireOptionsOfRange(trainable, options, prediction);
  requireLevelSampling(trainable, settings);
  const learned = learnedLabels(trainable, found.images);
  const drops = network === undefined && learned !== null && !isClassifier(trainable);
  const labelDropout = options.labelDropout ?? (drops ? 0.1 : 0);
  const nullLabel = labelOfNone(trainable, learned, labelDropout);
  // It takes minutes, so all that can be wrong has been told before.
  const { images, filesOf } =
    encoded === undefined
      ? { images: found.images, filesOf: filesOfNetwork }
      : await untilAborted(signal, () => encoded());
  return {
    trainable,
    data: { ...images, labels: learned },
    settings,
    prediction,
    dropout,
    labelDropout,
    nullLabel,
    captions,
    captionDropout: captions === null ? 0 : (options.captionDropout ?? STANDARD_CAPTION_DROPOUT),
    files: filesOf(trainable),
  };
}
