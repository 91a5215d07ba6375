/**
 * A guide: the gradient of a logarithm of a density, or of minus an energy, at what the network sees.
 *
 * @param x - States, [rows, C, H, W], row-major.
 * @param t - The network's time of every row.
 * @param first - Index of the first of them among the samples that were asked for.
 * @returns As many elements as `x`.
 */
export type Guide = (x: Float32Array, t: Float32Array, first: number) => Float32Array | Promise<Float32Array>;

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
