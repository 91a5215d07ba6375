import type { NativeNetwork } from '../engine/binding.js';
import type { Device } from '../engine/device.js';

/**
 * A guide: the gradient of a logarithm of a density, or of minus an energy, at what the network sees.
 *
 * @param x - States, [rows, C, H, W], row-major.
 * @param t - The network's time of every row.
 * @param first - Index of the first of them among the samples that were asked for.
 * @returns As many elements as `x`.
 */
export type Guide = (x: Float32Array, t: Float32Array, first: number) => Float32Array | Promise<Float32Array>;

/** What computes a guide without a way through JavaScript. */
export interface NativeGuideSource {
  readonly device: Device;
  /** [C, H, W] of what it takes. */
  readonly sampleShape: readonly number[];
  readonly scale: number;
  /** The classes of samples `first` to `first + count`, checked. */
  readonly labels: (first: number, count: number) => Int32Array;
  /** The network of the gradient. */
  readonly network: () => Promise<NativeNetwork>;
}

const nativeSources = new WeakMap<Guide, NativeGuideSource>();

/** A guide that the native loop can compute itself, on the device of its source. */
export function withNativeSource(guide: Guide, source: NativeGuideSource): Guide {
  nativeSources.set(guide, source);
  return guide;
}

/** The sources of guides that all are on a device; null where one is a function of the caller's, or elsewhere. */
export function nativeSourcesOf(guides: readonly Guide[], device: Device): NativeGuideSource[] | null {
  const sources = guides.map((guide) => nativeSources.get(guide)).filter((source) => source?.device === device);
  const found = sources.filter((source) => source !== undefined);
  return found.length === guides.length ? found : null;
}

/** Where a run stands when a {@link Constraint} is asked. */
export interface ConstraintPlace {
  /** How many records the samples have behind them, from 1. */
  record: number;
  /** The network's time that the last record began at. */
  time: number;
  /** The network's time of the next evaluation, null behind the last one. */
  nextTime: number | null;
  /** Index of the first of the samples among those that were asked for. */
  first: number;
}

/**
 * What holds samples to something: is asked after every record for the states to go on from.
 *
 * @param x - States, [rows, C, H, W], row-major.
 * @returns As many elements as `x`.
 */
export type Constraint = (x: Float32Array, place: ConstraintPlace) => Float32Array | Promise<Float32Array>;
