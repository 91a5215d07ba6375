import {
  flowLikelihood,
  flowLikelihoodOptionFacts as facts,
  norms,
  probes,
  type FlowLikelihood,
  type FlowLikelihoodOptions,
} from '../estimation/flow/flow-likelihood.js';
import { elementCount } from '../base/arrays.js';
import type { OptionFact } from '../base/option-facts.js';
import { specOf, type Call, type OptionSpec, type OptionSpecs } from './command.js';
import { type OptionValues } from './option-values.js';
import { usageError } from './usage-error.js';
import { readDataImages } from './data-images.js';
import { withModel } from './model-options.js';
import { printJson, printLine, printTable, progressBar } from './output.js';

function flowSpec(fact: OptionFact): OptionSpec {
  return specOf(fact, `with --flow: ${fact.help}`);
}

/** Options of the command line for the flow alone. */
export const flowOptionSpecs: OptionSpecs = {
  flow: { help: 'the likelihood by the probability flow, exact but for its probes, instead of a bound' },
  repeats: flowSpec(facts.repeats),
  probe: flowSpec(facts.probe),
  atol: flowSpec(facts.atol),
  rtol: flowSpec(facts.rtol),
  'batch-norm': flowSpec(facts.batchNorm),
};

/** Names of other options that the flow takes. */
const shared = ['data', 'samples', 'seed', 'class', 'batch'];

/** Refuses options of the bound with --flow, and options of the flow without it. */
export function requireFlowOptions(options: OptionValues, bound: OptionSpecs): void {
  const isFlow = options.flag('flow');
  const others = isFlow ? [...Object.keys(bound), 'sampler'].filter((name) => !shared.includes(name)) : [];
  const misplaced = [...others, ...(isFlow ? [] : Object.keys(flowOptionSpecs))].find((name) => options.has(name));
  if (misplaced === undefined) return;
  throw usageError(`--${misplaced} is for ${isFlow ? 'bounds' : '--flow'}`);
}

function flowOptions({ options, signal }: Call, count: number): FlowLikelihoodOptions {
  const label = options.integer('class');
  return {
    samples: options.integer('samples'),
    seed: options.seed('seed'),
    batch: options.integer('batch'),
    classLabels: label === undefined ? undefined : new Array<number>(count).fill(label),
    repeats: options.integer('repeats'),
    probe: options.choice('probe', probes),
    atol: options.number('atol'),
    rtol: options.number('rtol'),
    batchNorm: options.choice('batch-norm', norms),
    signal,
  };
}

function printFlow({ total, probeError, images, evaluations }: FlowLikelihood, seconds: number, device: string): void {
  const error = (value: number): string => (Number.isNaN(value) ? '' : `+- ${value.toPrecision(2)}`);
  printTable([
    ['', 'bits/dim', ''],
    ['probability flow', total.bits.toPrecision(5), error(total.standardError)],
    ...(Number.isNaN(probeError) ? [] : [['of it probes', '', error(probeError)]]),
  ]);
  printLine(`${images} images, ${Math.round(evaluations)} evaluations each, in ${seconds.toFixed(1)} s on ${device}`);
}

/** Runs `dpm nll --flow`. */
export async function runFlow(call: Call): Promise<void> {
  const path = call.options.required('data');
  const progress = progressBar('flow', call.json);
  await withModel(call, async (model) => {
    const images = (await readDataImages(path, model, { signal: call.signal })).images;
    const started = performance.now();
    try {
      const found = await flowLikelihood(model, images, {
        ...flowOptions(call, images.length / elementCount(model.sampleShape)),
        onProgress: progress.update,
      });
      progress.stop();
      const seconds = (performance.now() - started) / 1000;
      if (call.json) printJson({ ...found, bits: [...found.bits], device: model.device.name, seconds });
      else printFlow(found, seconds, model.device.name);
    } finally {
      progress.stop();
    }
  });
}
