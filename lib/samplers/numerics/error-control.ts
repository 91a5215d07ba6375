import type { SamplerOptions } from '../options.js';

/** Tolerances and norm of an adaptive solver. */
export interface ErrorControl {
  atol: number;
  rtol: number;
  /** One norm for the whole batch, as in the authors' code, instead of one for each sample. */
  shared: boolean;
}

/** The options `atol`, `rtol` and `batchNorm`. */
export function errorControl(options: SamplerOptions, standard: { atol: number; rtol: number }): ErrorControl {
  const { atol = standard.atol, rtol = standard.rtol, batchNorm } = options;
  return { atol, rtol, shared: batchNorm === 'reference' };
}
