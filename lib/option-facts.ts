import { described } from './base/option-facts.js';
import { batcherOptionFacts, serviceOptionFacts } from './batch/options.js';
import { deviceOptionFacts } from './engine/device.js';
import { dataEstimateOptionFacts } from './estimation/data-estimate.js';
import { flowLikelihoodOptionFacts } from './estimation/flow/flow-likelihood.js';
import { likelihoodOptionFacts } from './estimation/likelihood/estimate.js';
import { classifierGuideFacts } from './guidance/classifier.js';
import { pictureOptionFacts } from './images/picture-options.js';
import { embeddingOptionFacts } from './latents/added-tokens.js';
import { promptBatcherFacts } from './latents/batcher/options.js';
import { controlOptionFacts } from './latents/control-options.js';
import { generateOptionFacts } from './latents/generate-options.js';
import { invertOptionFacts } from './latents/inversion.js';
import { pipelineOptionFacts } from './latents/load-pipeline.js';
import { loraOptionFacts } from './latents/loras.js';
import { runOptionFacts } from './run/options.js';
import { openImagesOptionFacts } from './training/data/options.js';
import { trainingOptionFacts } from './training/options.js';
import { translateOptionFacts } from './translation/options.js';

/**
 * Facts about the options of devices, runs, batchers, requests, pictures, classifiers' guides, translations, pipelines of text
 * to image, what controls them and what they draw, training and estimates, for programs that offer them in another form: effect, default, and JSON Schema. A bound on the likelihood also takes the
 * options of its sampler, which are facts of {@link samplers}.
 *
 * @example
 * ```ts
 * optionFacts.run.batch; // { help: 'most samples evaluated at once', standard: '16', value: 16, schema: { type: 'integer', … } }
 * ```
 */
export const optionFacts = {
  device: described(deviceOptionFacts),
  run: described(runOptionFacts),
  batcher: described(batcherOptionFacts),
  service: described(serviceOptionFacts),
  promptBatcher: described(promptBatcherFacts),
  picture: described(pictureOptionFacts),
  guide: described(classifierGuideFacts),
  translation: described(translateOptionFacts),
  pipeline: described(pipelineOptionFacts),
  lora: described(loraOptionFacts),
  embedding: described(embeddingOptionFacts),
  control: described(controlOptionFacts),
  generation: described(generateOptionFacts),
  inversion: described(invertOptionFacts),
  training: described(trainingOptionFacts),
  openImages: described(openImagesOptionFacts),
  dataEstimate: described(dataEstimateOptionFacts),
  likelihood: described(likelihoodOptionFacts),
  flowLikelihood: described(flowLikelihoodOptionFacts),
} as const;
