/** Grey levels of images that look a little like digits: bright strokes on black, [count, 1, 28, 28]. */
export function strokes(count: number): Uint8Array {
  return Uint8Array.from({ length: count * 784 }, (_, i) => {
    const [image, row, column] = [Math.floor(i / 784), Math.floor(i / 28) % 28, i % 28];
    const inside = row >= 5 && row < 23 && Math.abs(column - 14 - ((row - 14) * (image % 5)) / 8) < 2;
    return inside ? 200 + ((7 * row + 13 * column + image) % 56) : 0;
  });
}

/** Grey levels in model space. */
export function inModelSpace(levels: Uint8Array): Float32Array {
  return Float32Array.from(levels, (level) => level / 127.5 - 1);
}
