/**
 * A guide: the gradient of a logarithm of a density, or of minus an energy, at what the network sees.
 *
 * @param x - States, [rows, C, H, W], row-major.
 * @param t - The network's time of every row.
 * @param first - Index of the first of them among the samples that were asked for.
 * @returns As many elements as `x`.
 */
export type Guide = (x: Float32Array, t: Float32Array, first: number) => Float32Array | Promise<Float32Array>;
