/** Sinusoids of a number, as networks embed times: their count, the shift of the frequencies, and their order. */
export interface Sinusoids {
  readonly length: number;
  readonly shift: number;
  readonly order: 'sin-cos' | 'cos-sin';
}

/** Computes sines and cosines of angles, in float32 as the library does: its rounding of an angle is part of the result. */
function sinusoids(angles: readonly number[], order: Sinusoids['order']): number[] {
  const sines = angles.map((angle) => Math.sin(angle));
  const cosines = angles.map((angle) => Math.cos(angle));
  return order === 'cos-sin' ? [...cosines, ...sines] : [...sines, ...cosines];
}

/** Computes the sinusoids of a number that a network embeds beside the time. */
export function numberFeatures(value: number, { length, shift, order }: Sinusoids): number[] {
  const half = length / 2;
  const step = Math.fround(Math.fround(-Math.log(10_000)) / (half - shift));
  const angles = Array.from({ length: half }, (_, i) =>
    Math.fround(Math.fround(value) * Math.fround(Math.exp(Math.fround(i * step)))),
  );
  return sinusoids(angles, order);
}

/** Computes the features of a guidance weight that distilled networks see (Luo et al. 2023): of 1000 (w - 1). */
export function guidanceFeatures(weight: number, length: number): number[] {
  const half = Math.floor(length / 2);
  const step = Math.fround(Math.fround(Math.log(10_000)) / (half - 1));
  const scaled = Math.fround(Math.fround(weight - 1) * 1000);
  const angles = Array.from({ length: half }, (_, i) =>
    Math.fround(scaled * Math.fround(Math.exp(Math.fround(-i * step)))),
  );
  const features = sinusoids(angles, 'sin-cos');
  return length % 2 === 0 ? features : [...features, 0];
}
