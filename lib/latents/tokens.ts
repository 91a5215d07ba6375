/** Transposes each of a batch's matrices, of `rows` rows. */
function transposed(data: Float32Array, batch: number, rows: number): Float32Array {
  const columns = data.length / batch / rows;
  const result = new Float32Array(data.length);
  for (let n = 0; n < batch; ++n) {
    const first = n * rows * columns;
    for (let row = 0; row < rows; ++row) {
      for (let column = 0; column < columns; ++column) {
        result[first + column * rows + row] = data[first + row * columns + column] ?? 0;
      }
    }
  }
  return result;
}

/** Turns tokens' rows, [N, tokens, width], into maps, [N, width, tokens]. */
export function asMaps(rows: Float32Array, batch: number, tokens: number): Float32Array {
  return transposed(rows, batch, tokens);
}

/** Turns maps, [N, width, tokens], into tokens' rows. */
export function asRows(maps: Float32Array, batch: number, tokens: number): Float32Array {
  return transposed(maps, batch, maps.length / batch / tokens);
}
