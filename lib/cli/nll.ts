import { elementCount } from '../base/arrays.js';
import { decoderNames } from '../estimation/likelihood/decoder.js';
import {
  boundOptions,
  estimateLikelihood,
  likelihoodOptionFacts as facts,
  likelihoodSampler,
  likelihoodSamplerNames,
  type LikelihoodOptions,
} from '../estimation/likelihood/estimate.js';
import type { Likelihood } from '../estimation/likelihood/summary.js';
import type { DiffusionModel } from '../model.js';
import { DEFAULT_STEPS } from '../samplers/common-options.js';
import { specOf, type Call, type Command, type OptionSpecs } from './command.js';
import { dataImagesHelp, readDataImages } from './data-images.js';
import { flowOptionSpecs, requireFlowOptions, runFlow } from './flow-nll.js';
import { modelOptions, withModel } from './model-options.js';
import { printJson, printLine, printTable, progressBar } from './output.js';
import { optionSpecs, samplerOptions, stepsSpec, type CostedSampler } from './sampler-options.js';

/** Options of the samplers that a bound takes. */
export const likelihoodOptionSpecs: OptionSpecs = {
  data: {
    value: 'PATH',
    help: `${dataImagesHelp}; on the grid of 8 bits in [-1, 1]`,
  },
  samples: specOf(facts.samples),
  seed: specOf(facts.seed),
  class: specOf(facts.classLabels, 'class of all images, for a class-conditional network'),
  batch: specOf(facts.batch),
  decoder: specOf(facts.decoder),
  ...optionSpecs(new Map(likelihoodSamplerNames.map((name) => [name, boundOptions(name)]))),
  steps: stepsSpec(),
};

/** The library's options from the command line's, but for the sampler. */
export async function likelihoodOptions(
  { options, signal }: Call,
  model: DiffusionModel,
  images: Float32Array,
  costed?: CostedSampler,
): Promise<Omit<LikelihoodOptions, 'sampler'>> {
  const label = options.integer('class');
  const count = images.length / elementCount(model.sampleShape);
  return {
    ...(!options.has('timesteps') && { steps: DEFAULT_STEPS }),
    ...(await samplerOptions(options, model.schedule, costed)),
    samples: options.integer('samples'),
    seed: options.seed('seed'),
    batch: options.integer('batch'),
    classLabels: label === undefined ? undefined : new Array<number>(count).fill(label),
    decoder: options.choice('decoder', decoderNames),
    signal,
  };
}

function printLikelihood(likelihood: Likelihood, seconds: number, device: string): void {
  const { prior, kl, decoder, total, images, sampler } = likelihood;
  const row = (name: string, { bits, standardError }: { bits: number; standardError: number }): string[] => [
    name,
    bits.toPrecision(5),
    Number.isNaN(standardError) ? '' : `+- ${standardError.toPrecision(2)}`,
  ];
  printTable([
    ['term', 'bits/dim', ''],
    row(`prior ${prior.t}`, prior),
    ...kl.map((each) => row(`${each.t} -> ${each.s}`, each)),
    row(`decoder ${decoder.t} -> 0`, decoder),
    row('total', total),
  ]);
  printLine(`${sampler}, ${kl.length + 1} steps, ${images} images in ${seconds.toFixed(1)} s on ${device}`);
}

export const nllCommand: Command = {
  name: 'nll',
  summary:
    'The negative log-likelihood of images in bits per dimension: bounded term by term, or by the probability flow.',
  arguments: ['MODEL'],
  options: {
    sampler: { value: 'NAME', help: likelihoodSamplerNames.join(', ') },
    ...likelihoodOptionSpecs,
    ...flowOptionSpecs,
    ...modelOptions,
  },
  async run(call) {
    const { options, json } = call;
    requireFlowOptions(options, likelihoodOptionSpecs);
    if (options.flag('flow')) {
      await runFlow(call);
      return;
    }
    const path = options.required('data');
    const sampler = likelihoodSampler(options.required('sampler'));
    const progress = progressBar(sampler, json);
    await withModel(call, async (model) => {
      const images = (await readDataImages(path, model, { signal: call.signal })).images;
      const settings = await likelihoodOptions(call, model, images);
      const started = performance.now();
      try {
        const likelihood = await estimateLikelihood(model, images, {
          ...settings,
          sampler,
          onProgress: progress.update,
        });
        progress.stop();
        const seconds = (performance.now() - started) / 1000;
        if (json) printJson({ ...likelihood, device: model.device.name, seconds });
        else printLikelihood(likelihood, seconds, model.device.name);
      } finally {
        progress.stop();
      }
    });
  },
};
