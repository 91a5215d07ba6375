import { optionNames } from '../base/checks.js';
import type { GuidanceOptions } from './guidance.js';
import type { NoiseOption } from './noise-source.js';

/** Every {@link ImageFormat}. */
export const imageFormats = ['float32', 'uint8'] as const;

/** What images of a run come as: values in model space, or grey levels. */
export type ImageFormat = (typeof imageFormats)[number];

/** Options of `DiffusionModel.run`, and those of `DiffusionModel.sample` beside the sampler's own. */
export interface RunOptions extends GuidanceOptions {
  /** Number of samples; by default one per program of an array, else 1. */
  count?: number | undefined;
  /** An integer from 0, or a bigint below 2^64. Sample i of a seed is the same in every batch. Default 0. */
  seed?: number | bigint | undefined;
  /** One label per sample, or one for all. */
  classLabels?: number | ArrayLike<number> | undefined;
  /** Initial states [count, C, H, W]; by default noise. */
  init?: Float32Array | undefined;
  /** Explicit noise instead of the random streams. */
  noise?: NoiseOption | undefined;
  /** Most samples evaluated at once. Default 16. */
  batch?: number | undefined;
  /**
   * `uint8` brings images as grey levels, converted on the device: a quarter of the memory and of the way back from a
   * card. Default `float32`.
   */
  format?: ImageFormat | undefined;
  /** Keep the state after every k-th record; 0: never. Default 0. */
  snapshotEvery?: number | undefined;
  /** Aborts the run before its next evaluation. */
  signal?: AbortSignal | undefined;
  /** Records done and records in all, over all samples; of adaptive samplers per cent of the way through time. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The names of {@link RunOptions}. */
export const runOptionNames = optionNames<RunOptions>({
  count: true,
  seed: true,
  classLabels: true,
  guidance: true,
  unconditionalLabel: true,
  init: true,
  noise: true,
  batch: true,
  format: true,
  snapshotEvery: true,
  signal: true,
  onProgress: true,
});
