import { elementCount } from '../base/arrays.js';
import { isCentred, valuesOfLevels } from '../base/pixel-range.js';
import { seedWords } from '../base/random.js';
import { isOfHead } from '../checkpoint/trainable-head.js';
import type { TrainableNetwork } from '../checkpoint/trainable.js';
import type { RecomputePolicy } from '../engine/binding.js';
import type { NativeTrainerOptions } from '../engine/native-trainer.js';
import type { Graph } from '../network/graph.js';
import { imagesAsTheyAre, trainingLevels } from './levels.js';
import { trainingDefaults } from './options.js';
import { isAutoencoder, isClassifier, learnsRange } from './learned-kind.js';
import type { Trainee } from './trainee.js';

/** Levels as values of networks whose data are not from -1 to 1. */
function modelValues({ data: { images }, trainable }: Trainee): Uint8Array | Float32Array {
  const { dataRange } = trainable.schedule.defaults;
  if (images instanceof Float32Array || isCentred(dataRange)) return images;
  return valuesOfLevels(images, dataRange);
}

/** Indices of a head's constants. */
function learnedConstants({ constants }: Graph): number[] {
  return constants.flatMap(({ name }, index) => (isOfHead(name) ? [index] : []));
}

function lossOf(trainable: TrainableNetwork): NativeTrainerOptions['loss'] {
  if (isClassifier(trainable)) return 'cross-entropy';
  return trainable.head?.name ?? (learnsRange(trainable) ? 'hybrid' : 'prediction');
}

/** Gives the options of the engine's trainer. */
export function nativeOptions(
  trainee: Trainee,
  recompute: RecomputePolicy = trainingDefaults.recompute,
): NativeTrainerOptions {
  const { trainable, data, settings, prediction, labelDropout, nullLabel, captions, captionDropout } = trainee;
  const {
    batch,
    accumulate,
    seed,
    clip,
    adamBeta1,
    adamBeta2,
    adamEpsilon,
    weightDecay,
    cropMargin,
    flips,
    snrGamma,
    levelSampling,
  } = settings;
  return {
    classes: trainable.network.unet.classes,
    divisor: null,
    loss: lossOf(trainable),
    ...(trainable.head !== null && { learned: learnedConstants(trainable.graph) }),
    recompute,
    images: modelValues(trainee),
    labels: data.labels,
    cropMargin,
    flips,
    levels: isAutoencoder(trainable)
      ? imagesAsTheyAre()
      : trainingLevels(trainable.schedule, trainable.network.unet.divisor, {
          prediction,
          snrGamma,
          learnsRange: learnsRange(trainable),
        }),
    levelSampling,
    batch,
    accumulate,
    clip,
    beta1: adamBeta1,
    beta2: adamBeta2,
    epsilon: adamEpsilon,
    decay: weightDecay,
    seed: Uint32Array.from(seedWords(seed)),
    labelDropout,
    nullLabel,
    tokens: captions?.tokens ?? null,
    firstTexts: captions?.firstTexts ?? null,
    textDropout: captionDropout,
    nullTokens: captions?.nullTokens ?? null,
  };
}

/** Number of bytes of the images as the engine keeps them. */
export function imageBytes({ data, trainable }: Trainee): number {
  const isBytes = data.images instanceof Uint8Array && isCentred(trainable.schedule.defaults.dataRange);
  return elementCount(data.shape) * (isBytes ? 1 : 4);
}

/** Gives what must not change while a run lasts: all that the numbers of its steps depend on. */
export function runSettings({
  data,
  settings,
  prediction,
  dropout,
  labelDropout,
  captions,
  captionDropout,
  trainable,
}: Trainee): Record<string, unknown> {
  const { steps, seed, cropMargin, levelSampling, ...others } = settings;
  return {
    classifier: isClassifier(trainable) || undefined,
    autoencoder: isAutoencoder(trainable) || undefined,
    data: data.fingerprint,
    seed: String(seed),
    ...others,
    // Without a word of what runs that were begun before did not know.
    cropMargin: cropMargin || undefined,
    dropout: dropout || undefined,
    levelSampling: levelSampling === 'uniform' ? undefined : levelSampling,
    // A constant rate does not depend on the end of the run, so it may be put off.
    steps: settings.rateSchedule === 'constant' ? undefined : steps,
    prediction: isAutoencoder(trainable) ? undefined : prediction,
    labelDropout,
    captionDropout: captions === null ? undefined : captionDropout,
    head: trainable.head?.name,
    headMode: trainable.head?.mode,
    scheduler: trainable.scheduler ?? undefined,
  };
}
