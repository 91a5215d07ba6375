import { noBound, type OptionTable, type SamplerFacts } from '../sampler.js';

/** What a solver of the probability flow says of itself. */
export interface SolverFacts<N extends string, T extends OptionTable> extends SamplerFacts {
  readonly name: N;
  readonly summary: string;
  readonly kind: 'step';
  readonly options: T;
  readonly head: null;
  readonly needsGamma: false;
  readonly bound: typeof noBound.noChain;
}

/** The facts that all solvers which compile to records share, with one's own name and options. */
export function solverFacts<const N extends string, T extends OptionTable>(
  name: N,
  summary: string,
  options: T,
): SolverFacts<N, T> {
  return { name, summary, kind: 'step', options, head: null, needsGamma: false, bound: noBound.noChain };
}
