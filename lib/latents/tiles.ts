/** Maps of a batch, [batch, channels, height, width], row-major. */
export interface Maps {
  readonly batch: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** Makes maps of zeros. */
export function emptyMaps(batch: number, channels: number, height: number, width: number): Maps {
  return { batch, channels, height, width, data: new Float32Array(batch * channels * height * width) };
}

/** Calls `body` with the offset of each row of `rows` rows from `top` on, of all channels, and its number among them. */
function forRows(
  { batch, channels, height, width }: Maps,
  top: number,
  rows: number,
  body: (offset: number, plane: number, row: number) => void,
): void {
  for (let plane = 0; plane < batch * channels; ++plane) {
    for (let row = 0; row < rows; ++row) body((plane * height + top + row) * width, plane, row);
  }
}

/** Copies a part of maps. */
function cropped(maps: Maps, top: number, left: number, height: number, width: number): Maps {
  const part = emptyMaps(maps.batch, maps.channels, height, width);
  forRows(maps, top, height, (offset, plane, row) => {
    part.data.set(maps.data.subarray(offset + left, offset + left + width), (plane * height + row) * width);
  });
  return part;
}

/** Writes the first `height` rows and `width` columns of a part into maps, at a place. */
function paste(maps: Maps, top: number, left: number, part: Maps, height: number, width: number): void {
  forRows(part, 0, height, (offset, plane, row) => {
    maps.data.set(part.data.subarray(offset, offset + width), (plane * maps.height + top + row) * maps.width + left);
  });
}

/** Blends the first `extent` rows of a tile with the last ones of the tile above, by a share that grows from 0. */
function blendDown(above: Maps, tile: Maps, extent: number): void {
  const rows = Math.min(above.height, tile.height, extent);
  forRows(tile, 0, rows, (offset, plane, row) => {
    const from = (plane * above.height + above.height - rows + row) * above.width;
    const share = row / rows;
    for (let x = 0; x < tile.width; ++x) {
      tile.data[offset + x] = (above.data[from + x] ?? 0) * (1 - share) + (tile.data[offset + x] ?? 0) * share;
    }
  });
}

/** Blends the first `extent` columns of a tile with the last ones of the tile on its left. */
function blendRight(left: Maps, tile: Maps, extent: number): void {
  const columns = Math.min(left.width, tile.width, extent);
  forRows(tile, 0, tile.height, (offset, plane, row) => {
    const from = (plane * left.height + row) * left.width + left.width - columns;
    for (let x = 0; x < columns; ++x) {
      const share = x / columns;
      tile.data[offset + x] = (left.data[from + x] ?? 0) * (1 - share) + (tile.data[offset + x] ?? 0) * share;
    }
  });
}

/** Sizes of tiles: their side in the input, and the factor of sides from the input to the result. */
export interface Tiling {
  readonly side: number;
  /** Result's side over the input's: the factor of a decoder, 1 / factor of an encoder. */
  readonly factor: number;
}

/** Lists where tiles of a side begin on an axis. */
function tileStarts(length: number, side: number): number[] {
  const step = Math.floor(side * 0.75);
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step);
}

/** Lists the different sizes of the tiles of a map, which is one if it is no larger than a tile. */
export function tileSizes(
  { height, width }: Pick<Maps, 'height' | 'width'>,
  side: number,
): { height: number; width: number }[] {
  if (height <= side && width <= side) return [{ height, width }];
  const sidesOf = (length: number): number[] => [
    ...new Set(tileStarts(length, side).map((start) => Math.min(side, length - start))),
  ];
  return sidesOf(height).flatMap((down) => sidesOf(width).map((right) => ({ height: down, width: right })));
}

/**
 * Computes maps tile by tile: tiles begin every three quarters of their side, and where they overlap the results are
 * blended linearly, from above and then from the left. What a network computes from the whole map, such as norms, it
 * computes from a tile; so the result is near that of the whole map, not equal to it.
 *
 * @param compute - Computes the result of one tile.
 */
export async function inTiles(
  input: Maps,
  { side, factor }: Tiling,
  compute: (tile: Maps) => Promise<Maps>,
): Promise<Maps> {
  const extent = Math.floor(side * factor * 0.25);
  const kept = side * factor - extent;
  let above: Maps[] = [];
  let result: Maps | null = null;
  for (const [i, top] of tileStarts(input.height, side).entries()) {
    const row: Maps[] = [];
    for (const [j, left] of tileStarts(input.width, side).entries()) {
      const height = Math.min(side, input.height - top);
      const tile = await compute(cropped(input, top, left, height, Math.min(side, input.width - left)));
      result ??= emptyMaps(input.batch, tile.channels, input.height * factor, input.width * factor);
      const [up, before] = [above[row.length], row.at(-1)];
      if (up !== undefined) blendDown(up, tile, extent);
      if (before !== undefined) blendRight(before, tile, extent);
      paste(result, i * kept, j * kept, tile, Math.min(kept, tile.height), Math.min(kept, tile.width));
      row.push(tile);
    }
    above = row;
  }
  return result ?? emptyMaps(input.batch, 0, 0, 0);
}
