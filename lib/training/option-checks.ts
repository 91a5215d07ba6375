import { DpmError } from '../base/errors.js';
import type { TrainableNetwork } from '../checkpoint/trainable.js';
import type { Prediction } from '../schedule/defaults.js';
import { isClassifier, learnsRange } from './learned-kind.js';
import { divisorAt } from './levels.js';
import type { LevelSampling } from './options.js';
import type { TakenOptions } from './taken-options.js';

function unsupported(source: string, what: string): DpmError {
  return new DpmError('ERR_DPM_UNSUPPORTED', `${source}: ${what} cannot be trained`);
}

/** Refuses networks that learn in ways that are not there. */
export function requireTrainable(trainable: TrainableNetwork): void {
  if (isClassifier(trainable)) return;
  const { source, network, head } = trainable;
  const { unet } = network;
  if (network.head !== null && head === null) throw unsupported(source, 'a network with a variance head');
  if (unet.outChannels !== unet.inChannels && (head !== null || !learnsRange(trainable))) {
    throw unsupported(source, `a network of ${unet.inChannels} channels whose output has ${unet.outChannels}`);
  }
}

/** Refuses a prediction that says nothing of the data at the last level, and an output that is divided by nothing. */
export function requireLevels({ source, network, schedule }: TrainableNetwork, prediction: Prediction): void {
  const endsInNoise = schedule.discrete && schedule.alphaBar(schedule.steps) <= 0;
  if (endsInNoise && prediction !== 'x0' && prediction !== 'v') {
    throw unsupported(source, `the prediction '${prediction}' where a level is noise alone (rescale_betas_zero_snr)`);
  }
  if (schedule.discrete && divisorAt(network.unet.divisor, schedule.networkTime(1)) <= 0) {
    throw unsupported(source, 'a network whose output is divided by the time 0');
  }
}

/** Refuses options that a head's loss has no use for. */
export function requireOptionsOfHead(
  { head, source }: TrainableNetwork,
  options: TakenOptions,
  learned: Prediction,
): void {
  if (head === null) {
    if (options.headMode === undefined) return;
    throw new DpmError('ERR_DPM_ARGUMENT', 'headMode is for a head that learns: give head');
  }
  const isKnown = learned === 'epsilon' || (learned === 'v' && head.name === 'npr');
  if (!isKnown || learned !== head.prediction) {
    throw unsupported(source, `the head '${head.name}' beside the prediction '${learned}'`);
  }
  if ((options.snrGamma ?? 0) === 0) return;
  throw new DpmError('ERR_DPM_ARGUMENT', "snrGamma: the samples of a head's loss weigh all alike");
}

/** Refuses options that the loss of a learned variance has no use for. */
export function requireOptionsOfRange(trainable: TrainableNetwork, options: TakenOptions, learned: Prediction): void {
  if (!learnsRange(trainable)) return;
  if (learned !== 'epsilon')
    throw unsupported(trainable.source, `a learned variance behind the prediction '${learned}'`);
  if ((options.snrGamma ?? 0) === 0) return;
  throw new DpmError('ERR_DPM_ARGUMENT', 'snrGamma: the samples of a loss with a learned variance weigh all alike');
}

/** Refuses draws by losses where the engine draws evenly. */
export function requireLevelSampling(
  trainable: TrainableNetwork,
  { levelSampling }: { levelSampling: LevelSampling },
): void {
  if (levelSampling === 'uniform') return;
  const { head, schedule, source } = trainable;
  if (head === null && !isClassifier(trainable) && schedule.discrete) return;
  const what = head !== null ? 'a head' : isClassifier(trainable) ? 'a classifier' : 'a continuous noise schedule';
  throw new DpmError('ERR_DPM_ARGUMENT', `levelSampling: levels of ${what} are drawn evenly (${source})`);
}

/** Refuses options that a classifier's loss has no use for, and one that asks for a classifier where there is none. */
export function requireOptionsOfClassifier(trainable: TrainableNetwork, options: TakenOptions): void {
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

/** Options that are for networks which see no text, or for images that are no latents. */
const uselessForCaptions = [
  'config',
  'classifier',
  'autoencoder',
  'labelDropout',
  'dropout',
  'cropMargin',
  'flips',
  'skipBroken',
] as const;

/** Refuses options that networks which learn captions have no use for. */
function requireOptionsOfCaptions(options: TakenOptions): void {
  const name = uselessForCaptions.find(
    (each) => options[each] !== undefined && options[each] !== false && options[each] !== 0,
  );
  if (name !== undefined)
    throw new DpmError('ERR_DPM_ARGUMENT', `${name}: networks that learn captions have no use for it`);
}

/** Refuses options that do not belong to what learns: those of texts without any, and others beside them. */
export function requireOptionsOfTexts(options: TakenOptions): void {
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
export function requireOptionsOfAutoencoder(options: TakenOptions): void {
  const { prediction, labelDropout, dropout, snrGamma, levelSampling, head, headMode, classifier, schedule, config } =
    options;
  const facts = { prediction, labelDropout, dropout, snrGamma, levelSampling, head, headMode, schedule, config };
  const given = { ...facts, classifier: classifier === true ? true : undefined };
  const [useless] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
  if (useless === undefined) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `${useless}: an autoencoder has no use for it`);
}
