// Bilinear resizing of grey or colour images.

/** Per output coordinate the two input coordinates around it and the weight of the second (centres of pixels, clamped). */
function neighbours(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(place);
    return { low, high: Math.min(low + 1, from - 1), weight: place - low };
  });
}

/**
 * Resizes one plane, without antialiasing, as torch's `interpolate(mode='bilinear', align_corners=False)` does.
 *
 * @param {ArrayLike<number>} plane - [height, width].
 * @param {Float32Array} out - [toHeight, toWidth].
 * @param {(value: number) => number} map - Applied to every value of the result.
 */
export function resizePlane(plane, [height, width], out, [toHeight, toWidth], map) {
  const [rows, columns] = [neighbours(height, toHeight), neighbours(width, toWidth)];
  let at = 0;
  for (const y of rows) {
    const [above, below] = [y.low * width, y.high * width];
    for (const x of columns) {
      const upper = plane[above + x.low] * (1 - x.weight) + plane[above + x.high] * x.weight;
      const lower = plane[below + x.low] * (1 - x.weight) + plane[below + x.high] * x.weight;
      out[at++] = map(upper * (1 - y.weight) + lower * y.weight);
    }
  }
}
