/** Finds the value below which the share `share` of the values lies; NaN if there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? Number.NaN;
}

/** Finds the value in the middle; of an even number the larger one of the two. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
