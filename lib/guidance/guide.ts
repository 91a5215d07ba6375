import type { NativeNetwork } from '../engine/binding.js';
import type { Device } from '../engine/device.js';

/**
 * Guide: the gradient of a logarithm of a density, or of minus an energy, at the network's input.
 *
 * @param x - States, [rows, C, H, W], row-major.
 * @param t - The network's times, one per row.
 * @param first - Index of the first row's sample among the requested samples.
 * @returns The gradient, as many elements as `x`.
 */
export type Guide = (x: Float32Array, t: Float32Array, first: number) => Float32Array | Promise<Float32Array>;

/** Source of a guide that the native loop can compute without JavaScript. */
export interface NativeGuideSource {
  readonly device: Device;
  /** Shape [C, H, W] of its input. */
  readonly sampleShape: readonly number[];
  readonly scale: number;
  /** Gives the classes of samples `first` to `first + count`, checked. */
  readonly labels: (first: number, count: number) => Int32Array;
  /** Loads the network of the gradient. */
  readonly network: () => Promise<NativeNetwork>;
}

const nativeSources = new WeakMap<Guide, NativeGuideSource>();

/** Marks a guide as one that the native loop can compute itself, on the device of its source. */
export function withNativeSource(guide: Guide, source: NativeGuideSource): Guide {
  nativeSources.set(guide, source);
  return guide;
}

/** Lists the sources of guides if all are on one device; null if one is a caller's function, or elsewhere. */
export function nativeSourcesOf(guides: readonly Guide[], device: Device): NativeGuideSource[] | null {
  const sources = guides.map((guide) => nativeSources.get(guide)).filter((source) => source?.device === device);
  const found = sources.filter((source) => source !== undefined);
  return found.length === guides.length ? found : null;
}

/** Position in a run at which a {@link Constraint} is called. */
export interface ConstraintPlace {
  /** Number of finished records of the samples, from 1. */
  record: number;
  /** Network time at which the last record began. */
  time: number;
  /** Network time of the next evaluation, null after the last one. */
  nextTime: number | null;
  /** Index of the first of the samples among the requested ones. */
  first: number;
}

/**
 * Function that constrains samples: called after every step, it returns the states to continue from. Steps of several
 * evaluations (Heun's, the first of PLMS) have several records, after the last of which it is called.
 *
 * @param x - States, [rows, C, H, W], row-major.
 * @returns The new states, as many elements as `x`.
 */
export type Constraint = (x: Float32Array, place: ConstraintPlace) => Float32Array | Promise<Float32Array>;
