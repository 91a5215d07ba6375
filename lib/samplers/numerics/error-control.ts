import type { SamplerOptions } from '../options.js';
import { unknownName } from '../../base/checks.js';
import { DpmError } from '../../base/errors.js';

/** Tolerances and norm of an adaptive solver. */
export interface ErrorControl {
  atol: number;
  rtol: number;
  /** One norm for the whole batch, as in the authors' code, instead of one for each sample. */
  shared: boolean;
}

function positive(name: string, value: number): number {
  if (!(value > 0 && Number.isFinite(value))) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} is ${value}, it has to be a positive number`);
  }
  return value;
}

/** The checked option `batchNorm`: whether norms are taken over the batch. */
export function sharesNorms(option: SamplerOptions['batchNorm'] = 'sample'): boolean {
  const valid: readonly string[] = ['sample', 'reference'];
  if (!valid.includes(option)) throw unknownName('batchNorm', option, valid);
  return option === 'reference';
}

/** The checked options `atol`, `rtol` and `batchNorm`. */
export function errorControl(options: SamplerOptions, standard: { atol: number; rtol: number }): ErrorControl {
  return {
    atol: positive('atol', options.atol ?? standard.atol),
    rtol: positive('rtol', options.rtol ?? standard.rtol),
    shared: sharesNorms(options.batchNorm),
  };
}
