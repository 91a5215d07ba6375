import { at } from '../../base/arrays.js';
import { stepProgram } from '../../program/builder.js';
import type { HostContext } from '../../program/host-context.js';
import type { HostProgram, Program } from '../../program/program.js';
import type { RecordVariance, StepRecord } from '../../program/record.js';
import type { Jump } from '../../schedule/jump.js';
import { headVariance } from '../../variance/reverse-variance.js';
import { avgCov, eta, reverseOptions } from '../common-options.js';
import type { SamplerOptions } from '../options.js';
import { noBound, type SamplerFacts } from '../sampler.js';
import { compiledSampler, type ReverseRecords, type ReverseSampler } from './reverse-step.js';

/** Computes the variance of each sample: the linear form on the sample's means of head and eps^2, then limited. */
async function averagedVariance(
  context: HostContext,
  variance: RecordVariance & { kind: 'linear' },
): Promise<Float64Array> {
  const elements = context.shape.reduce((product, size) => product * size, 1) / context.batch;
  const { epsilon } = variance;
  await context.linearCombination('epsilon', [
    [epsilon.input, 'x'],
    [epsilon.output, 'out'],
  ]);
  const heads = await context.reduce('sum', 'head');
  const squares = await context.reduce('sum-squares', 'epsilon');
  return heads.map((head, sample) => {
    const value = variance.offset + (variance.head * head + variance.epsilonSquared * at(squares, sample)) / elements;
    return Math.min(Math.max(value, variance.low), variance.high);
  });
}

async function runRecord(context: HostContext, record: StepRecord, index: number): Promise<void> {
  const { variance, prediction, x } = record;
  await context.linearCombination('input', [[record.inputScale, 'x']]);
  await context.evaluate('input', record.time, 'out', 'head');
  const deviations =
    variance.kind === 'linear' ? (await averagedVariance(context, variance)).map(Math.sqrt) : new Float64Array(0);
  await context.linearCombination(
    'data',
    [
      [prediction.input, 'x'],
      [prediction.output, 'out'],
    ],
    record.clip,
  );
  await context.linearCombination('x', [
    [x?.x ?? 1, 'x'],
    [x?.out ?? 0, 'out'],
    [x?.history[0] ?? 0, 'data'],
  ]);
  if (variance.kind !== 'linear') return;
  await context.noise('noise', index);
  await context.linearCombination('x', [
    [1, 'x'],
    [deviations, 'noise'],
  ]);
}

/** Makes a host program, as a record has no mean over a sample. */
function averagedVarianceProgram({ records, initialScale, head }: ReverseRecords): HostProgram {
  return {
    kind: 'host',
    initialScale,
    head,
    async run(context) {
      for (const [index, record] of records.entries()) {
        await runRecord(context, record, index);
        context.progress(index + 1, records.length);
      }
    },
  };
}

/**
 * Makes a sampler of the reverse process whose variances come from a head. With the option `avgCov` the elements of a
 * sample share the mean of their variances.
 */
function headSampler<const F extends SamplerFacts>(facts: F, family: ReverseSampler<F>['family']): ReverseSampler<F> {
  return compiledSampler(facts, family, (reverse, options: SamplerOptions): Program => {
    const { records, ...rest } = reverse;
    return options.avgCov === true ? averagedVarianceProgram(reverse) : stepProgram(records, rest);
  });
}

/**
 * Gives a jump whose data lie in no interval where their predictions are not clipped to one, as latents: their variance is then
 * at most that of a posterior which knows nothing, (B_t / A_t).
 */
function inInterval(step: Jump, { clip }: Pick<SamplerOptions, 'clip'>): Jump {
  return clip === 'none' ? { ...step, dataWidth: (2 * step.sigmaT) / step.alphaT } : step;
}

/** Heads that the optimal variance of every element follows from. */
type VarianceHead = Parameters<typeof headVariance>[0];

const summaryOf = (process: string, method: string): string =>
  `${process} with the optimal variance of every element from a head (${method})`;

function ddpmFacts<const Head extends VarianceHead>(head: Head, method: string) {
  return {
    name: `${head}-ddpm`,
    summary: summaryOf('DDPM', method),
    kind: 'either',
    options: { ...reverseOptions, avgCov },
    head,
    needsGamma: false,
    bound: true,
  } as const satisfies SamplerFacts;
}

/** Makes DDPM with the variances of a head; the last noise is limited to 2 grey levels by default. */
export function headDdpm<const Head extends VarianceHead>(
  head: Head,
  method: string,
): ReverseSampler<ReturnType<typeof ddpmFacts<Head>>> {
  return headSampler(ddpmFacts(head, method), (_, options) => ({
    mean: 'markov',
    eta: 1,
    variance: (step, noise) => headVariance(head, inInterval(step, options), noise),
    lastNoiseClip: 2,
    head,
  }));
}

function ddimFacts<const Head extends VarianceHead>(head: Head, method: string) {
  return {
    ...ddpmFacts(head, method),
    name: `${head}-ddim`,
    summary: summaryOf('DDIM', method),
    options: { ...reverseOptions, eta, avgCov },
    bound: noBound.notMarkov,
  } as const satisfies SamplerFacts;
}

/** Makes DDIM with the variances of a head; the last noise is limited to 1 grey level by default. */
export function headDdim<const Head extends VarianceHead>(
  head: Head,
  method: string,
): ReverseSampler<ReturnType<typeof ddimFacts<Head>>> {
  return headSampler(ddimFacts(head, method), (_, options) => ({
    mean: 'direction',
    eta: options.eta ?? 0,
    variance: (step, noise) => headVariance(head, inInterval(step, options), noise),
    lastNoiseClip: 1,
    head,
  }));
}
