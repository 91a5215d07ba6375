import { throwIfAborted, untilAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import {
  defaultAutoencoder,
  readGivenAutoencoder,
  trainableAutoencoder,
  type GivenAutoencoder,
} from '../checkpoint/pipelines/trainable-autoencoder.js';
import { readTrainable, trainableOf, type TrainableNetwork } from '../checkpoint/trainable.js';
import { readCaptioned, requireOptionsOfCaptions, type CaptionedTrainee } from './captions/captioned-trainee.js';
import type { TokenizedCaptions } from './captions/tokenized-captions.js';
import { defaultClassifier, defaultNetwork } from './default-network.js';
import { withDropout } from './dropout.js';
import { divisorAt } from './levels.js';
import { readData, type GivenData } from './data/given-images.js';
import type { Prediction } from '../schedule/defaults.js';
import type { OpenedImages } from './data/open-images.js';
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

function unsupported(source: string, what: string): DpmError {
  return new DpmError('ERR_DPM_UNSUPPORTED', `${source}: ${what} cannot be trained`);
}

/** Tells whether what learns are logits of noisy images. */
export function isClassifier({ network }: Pick<TrainableNetwork, 'network'>): boolean {
  return network.unet.pool !== undefined;
}

/** Tells whether what learns is an autoencoder, to give back images as they are. */
export function isAutoencoder({ kind }: Pick<TrainableNetwork, 'kind'>): boolean {
  return kind === 'autoencoder';
}

/** Tells whether a network learns its variance behind its prediction (Nichol and Dhariwal 2021). */
export function learnsRange({ network, schedule }: Pick<TrainableNetwork, 'network' | 'schedule'>): boolean {
  const { outChannels, inChannels, pool } = network.unet;
  return pool === undefined && outChannels === 2 * inChannels && schedule.discrete;
}

/** Number of classes of the labels that a network learns from; 0: it takes none. */
export function classesOf({ network }: Pick<TrainableNetwork, 'network'>): number {
  return isClassifier({ network }) ? network.unet.outChannels : network.unet.classes;
}

/** Refuses networks that learn in ways that are not there. */
function requireTrainable(trainable: TrainableNetwork): void {
  if (isClassifier(trainable)) return;
  const { source, network, head } = trainable;
  const { unet } = network;
  if (network.head !== null && head === null) throw unsupported(source, 'a network with a variance head');
  if (unet.outChannels !== unet.inChannels && (head !== null || !learnsRange(trainable))) {
    throw unsupported(source, `a network of ${unet.inChannels} channels whose output has ${unet.outChannels}`);
  }
}

/** Refuses a prediction that says nothing of the data at the last level, and an output that is divided by nothing. */
function requireLevels({ source, network, schedule }: TrainableNetwork, prediction: Prediction): void {
  const endsInNoise = schedule.discrete && schedule.alphaBar(schedule.steps) <= 0;
  if (endsInNoise && prediction !== 'x0' && prediction !== 'v') {
    throw unsupported(source, `the prediction '${prediction}' where a level is noise alone (rescale_betas_zero_snr)`);
  }
  if (schedule.discrete && divisorAt(network.unet.divisor, schedule.networkTime(1)) <= 0) {
    throw unsupported(source, 'a network whose output is divided by the time 0');
  }
}

/** Refuses options that a head's loss has no use for. */
function requireOptionsOfHead({ head, source }: TrainableNetwork, options: TakenOptions, learned: Prediction): void {
  if (head === null) {
    if (options.headMode === undefined) return;
    throw new DpmError('ERR_DPM_ARGUMENT', 'headMode is for a head that learns: give head');
  }
  if (learned !== 'epsilon') throw unsupported(source, `a head beside the prediction '${learned}'`);
  if ((options.snrGamma ?? 0) === 0) return;
  throw new DpmError('ERR_DPM_ARGUMENT', "snrGamma: the samples of a head's loss weigh all alike");
}

/** Refuses options that the loss of a learned variance has no use for. */
function requireOptionsOfRange(trainable: TrainableNetwork, options: TakenOptions, learned: Prediction): void {
  if (!learnsRange(trainable)) return;
  if (learned !== 'epsilon')
    throw unsupported(trainable.source, `a learned variance behind the prediction '${learned}'`);
  if ((options.snrGamma ?? 0) === 0) return;
  throw new DpmError('ERR_DPM_ARGUMENT', 'snrGamma: the samples of a loss with a learned variance weigh all alike');
}

/** Refuses draws by losses where the engine draws evenly. */
function requireLevelSampling(trainable: TrainableNetwork, { levelSampling }: SettledOptions): void {
  if (levelSampling === 'uniform') return;
  const { head, schedule, source } = trainable;
  if (head === null && !isClassifier(trainable) && schedule.discrete) return;
  const what = head !== null ? 'a head' : isClassifier(trainable) ? 'a classifier' : 'a continuous noise schedule';
  throw new DpmError('ERR_DPM_ARGUMENT', `levelSampling: levels of ${what} are drawn evenly (${source})`);
}

/** Refuses options that a classifier's loss has no use for, and one that asks for a classifier where there is none. */
function requireOptionsOfClassifier(trainable: TrainableNetwork, options: TakenOptions): void {
  if (!isClassifier(trainable)) {
    if (options.classifier !== true) return;
    throw new DpmError('ERR_DPM_ARGUMENT', `classifier: ${trainable.source} is none`);
  }
  const { prediction, labelDropout = 0, snrGamma = 0, headMode } = options;
  const facts = { prediction, labelDropout: labelDropout || undefined, snrGamma: snrGamma || undefined, headMode };
  const [useless] = Object.entries(facts).find(([, value]) => value !== undefined) ?? [];
  if (useless === undefined) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `${useless}: the classifier ${trainable.source} has no use for it`);
}

/** Tells whether what learns sees a text beside its images. */
export function isCaptioned({ kind }: Pick<TrainableNetwork, 'kind'>): boolean {
  return kind === 'captioned';
}

/** Refuses options that do not belong to what learns: those of texts without any, and others beside them. */
function requireOptionsOfTexts(options: TakenOptions): void {
  const { captions, latents, captionDropout } = options;
  if (captions !== undefined) {
    requireOptionsOfCaptions(options);
    return;
  }
  const [name] = Object.entries({ latents, captionDropout }).find(([, value]) => value !== undefined) ?? [];
  if (name !== undefined)
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} is for networks that learn captions: give captions`);
}

/** Refuses options that are for networks which see noise. */
function requireOptionsOfAutoencoder(options: TakenOptions): void {
  const { prediction, labelDropout, dropout, snrGamma, levelSampling, head, headMode, classifier, schedule, config } =
    options;
  const facts = { prediction, labelDropout, dropout, snrGamma, levelSampling, head, headMode, schedule, config };
  const given = { ...facts, classifier: classifier === true ? true : undefined };
  const [useless] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
  if (useless === undefined) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `${useless}: an autoencoder has no use for it`);
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
  Partial<Pick<CaptionedTrainee, 'captions' | 'filesOf'>>;

/**
 * Reads what options name: the network and the images.
 *
 * @param data - Data as they were when the call began.
 * @throws {@link DpmError} naming the file, field or option.
 */
export async function readTrainee(options: TakenOptions, data: GivenData): Promise<Trainee> {
  const { network: given, config, schedule, signal, labels, resize, skipBroken, onProgress, head, headMode } = options;
  const reading = { labels, resize, skipBroken, signal, onProgress };
  const [defaultOf, defaultSource] =
    options.classifier === true
      ? [defaultClassifier, 'the default classifier']
      : [defaultNetwork, 'the default network'];
  const settings = settledOptions(options);
  requireOptionsOfTexts(options);
  const find = async (): Promise<FoundTrainee> => {
    if (options.captions !== undefined) {
      const images = await readData(data, { ...reading, labels: false });
      return readCaptioned(options, options.captions, images, typeof data === 'string' ? data : null);
    }
    const autoencoder = await autoencoderOf(options);
    if (autoencoder !== null) {
      const images = await readData(data, reading);
      const shape = windowOf(images, settings.cropMargin);
      return { images, trainable: trainableAutoencoder(autoencoder(shape[0]), shape) };
    }
    if (given === undefined) {
      if (head !== undefined) throw new DpmError('ERR_DPM_ARGUMENT', 'head: a head learns on a model: give network');
      if (config !== undefined)
        throw new DpmError('ERR_DPM_ARGUMENT', 'config is for a network that is a checkpoint file');
      const images = await readData(data, reading);
      const shape = windowOf(images, settings.cropMargin);
      const classes = images.labels === null ? 0 : largestLabel(images.labels) + 1;
      if (options.classifier === true && classes === 0)
        throw new DpmError('ERR_DPM_ARGUMENT', 'classifier: the data have no labels to learn');
      return { images, trainable: await trainableOf(defaultOf(shape, classes), defaultSource, schedule) };
    }
    const trainable = await readTrainable(given, { config, schedule, head, headMode });
    requireTrainable(trainable);
    const { inChannels, height, width } = trainable.network.unet;
    const shape = [inChannels, height + settings.cropMargin, width + settings.cropMargin] as const;
    return { trainable, images: await readData(data, { ...reading, shape }) };
  };
  const { trainable: found, images, captions = null, filesOf = filesOfNetwork } = await untilAborted(signal, find);
  throwIfAborted(signal);
  requireTrainable(found);
  const { trainable: predicting, prediction } = withPrediction(withLearnedVariance(found), options.prediction);
  const { trainable, dropout } = withDropout(predicting, options.dropout);
  requireLevels(trainable, prediction);
  requireOptionsOfClassifier(trainable, options);
  requireOptionsOfHead(trainable, options, prediction);
  requireOptionsOfRange(trainable, options, prediction);
  requireLevelSampling(trainable, settings);
  const learned = learnedLabels(trainable, images);
  const drops = given === undefined && learned !== null && !isClassifier(trainable);
  const labelDropout = options.labelDropout ?? (drops ? 0.1 : 0);
  const nullLabel = labelOfNone(trainable, learned, labelDropout);
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
