/** Transposes each of a batch's matrices, of `rows` rows: rows of tokens become maps, [N, width, tokens], and maps rows. */
export function transposed(data: Float32Array, batch: number, rows: number): Float32Array {
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
