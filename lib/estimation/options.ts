import { standardsOf, type OptionFact } from '../base/option-facts.js';
import { kinds } from '../base/option-kinds.js';
import { runOptionFacts } from '../run/options.js';

/** Facts about the options that every estimate from images has. */
export const estimateOptionFacts = {
  samples: { kind: kinds.number, help: 'images, drawn from the data', otherwise: 'all', value: 'M' },
  seed: { ...runOptionFacts.seed, help: 'seed of the choice of images and of the noise' },
  classLabels: { kind: kinds.numbers, help: 'class of each image, for a class-conditional network', value: 'LABEL' },
  batch: { ...runOptionFacts.batch, help: 'most images evaluated at once' },
  signal: { kind: kinds.signal, help: 'aborts between two evaluations' },
  onProgress: { kind: kinds.function, help: 'is told what is done and what there is to do' },
} as const satisfies Readonly<Record<string, OptionFact>>;

/** Defaults of these options. */
export const estimateDefaults = standardsOf(estimateOptionFacts);
