// Pictures back to the noise that a deterministic run draws them from (Song et al. 2021, section 5.4).
import { throwIfAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import { factsOf, kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import { kinds, type OptionKinds } from '../base/option-kinds.js';
import { affineSteps, type AffineStep } from '../program/inverse.js';
import type { Program } from '../program/program.js';
import { requireFiniteStates } from '../run/finite.js';
import { generateOptionFacts, type GenerateOptions } from './generate-options.js';
import type { PromptedEvaluate } from './prompted-network.js';
import type { GenerateCall } from './resolve-call.js';

/** Options of {@link TextToImage.invert}. */
export interface InvertOptions
  extends
    Pick<
      GenerateOptions,
      | 'prompt'
      | 'negativePrompt'
      | 'longPrompts'
      | 'count'
      | 'steps'
      | 'guidanceRescale'
      | 'controls'
      | 'height'
      | 'width'
      | 'skippedLayers'
      | 'sizes'
      | 'negativeSizes'
      | 'batch'
      | 'tile'
      | 'signal'
      | 'onProgress'
    >,
    Required<Pick<GenerateOptions, 'image'>> {
  /**
   * Sampler of the run, which has to be one without noise, past predictions or several evaluations a step: `ddim`,
   * `probability-flow`, `dpm-solver-1`, `euler`, or `scheduler` for a file of these. Default `ddim`.
   */
  sampler?: GenerateOptions['sampler'];
  /** Weight of the prompt against the negative one. Default 1: the prompt alone, as large weights lead back elsewhere. */
  guidance?: GenerateOptions['guidance'];
  /**
   * Evaluations of a step. One takes the prediction at the state that the step ends at for that where it begins (Song et al.
   * 2021), and the noise is then too small; each further one takes it where the last one says that the step begins (Pan et al.
   * 2023). Default 4.
   */
  iterations?: number | undefined;
}

const shared = factsOf(generateOptionFacts, [
  'prompt',
  'negativePrompt',
  'longPrompts',
  'count',
  'steps',
  'guidanceRescale',
  'controls',
  'image',
  'height',
  'width',
  'skippedLayers',
  'sizes',
  'negativeSizes',
  'batch',
  'tile',
  'signal',
  'onProgress',
]);
const { sampler, guidance } = generateOptionFacts;

/** Facts about each option of {@link InvertOptions}. @internal */
export const invertOptionFacts = {
  ...shared,
  sampler: { ...sampler, help: 'name of a sampler without noise and memory', standard: 'ddim' },
  guidance: { kind: guidance.kind, help: guidance.help, standard: 1, value: guidance.value },
  iterations: { kind: kinds.positiveInteger, help: 'evaluations of a step', standard: 4 },
} as const satisfies OptionFacts<InvertOptions>;

/** Kind of each option of {@link InvertOptions}. @internal */
export const invertKinds: OptionKinds<InvertOptions> = kindsOf<InvertOptions>(invertOptionFacts);

/** Defaults of {@link InvertOptions}. @internal */
export const invertDefaults = standardsOf(invertOptionFacts);

/** Noise that draws pictures. */
export interface Inverted {
  /** What takes the place of the unit noise of a run with the same sampler and steps: `init` of a call, [N, C, h, w]. */
  readonly noise: Float32Array;
  /** True for each image of whose prompt, or negative prompt, tokens were left out. */
  readonly truncated: readonly boolean[];
}

/**
 * Lists the steps of a program that can be taken back, the last first.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a program with other steps.
 */
export function stepsBack(program: Program, name: string): AffineStep[] {
  const steps = affineSteps(program);
  if (steps !== null) return steps.reverse();
  throw new DpmError(
    'ERR_DPM_UNSUPPORTED',
    `sampler ${name} cannot be taken back: only steps without noise, limits or memory can, as those of ddim`,
  );
}

/** Solves state' = state x + out f(x) for x by iterations from x = state' on. */
async function takeBack(
  evaluate: PromptedEvaluate,
  { time, inputScale, state, out }: AffineStep,
  after: Float32Array,
  { labels, iterations, signal }: { labels: readonly number[]; iterations: number; signal: AbortSignal | undefined },
): Promise<Float32Array> {
  const times = new Float32Array(labels.length).fill(time);
  let before = after;
  for (let iteration = 0; iteration < iterations; ++iteration) {
    throwIfAborted(signal);
    const predicted = await evaluate(
      before.map((value) => value * inputScale),
      times,
      labels,
    );
    before = after.map((value, i) => (value - out * (predicted.out[i] ?? NaN)) / state);
  }
  return before;
}

/**
 * Takes all steps back, from latents to the states that the run begins with.
 *
 * @param steps - Steps of the run, the last first.
 * @param latents - Latents [count, C, h, w].
 * @throws {@link DpmError} `ERR_DPM_ABORTED`; `ERR_DPM_NOT_FINITE` where iterations lead nowhere.
 */
export async function invertedStates(
  evaluate: PromptedEvaluate,
  steps: readonly AffineStep[],
  latents: Float32Array,
  { count, batch, signal, onProgress }: GenerateCall,
  iterations: number,
): Promise<Float32Array> {
  const elements = latents.length / count;
  const all = new Float32Array(latents.length);
  for (let first = 0; first < count; first += batch) {
    const labels = Array.from({ length: Math.min(batch, count - first) }, (_, i) => first + i);
    let states: Float32Array = latents.slice(first * elements, (first + labels.length) * elements);
    for (const [done, step] of steps.entries()) {
      states = await takeBack(evaluate, step, states, { labels, iterations, signal });
      onProgress?.(first * steps.length + (done + 1) * labels.length, count * steps.length);
    }
    all.set(states, first * elements);
  }
  requireFiniteStates(all, elements);
  return all;
}
