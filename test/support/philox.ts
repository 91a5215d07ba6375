/** Philox4x32-10 (Salmon et al. 2011) in plain integer arithmetic, for comparison with the native generator. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): number[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; ++round) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3].map(Number);
}

/** Identity of a stream of normals inside one record. */
export interface Stream {
  seed: readonly [low: number, high: number];
  sampleIndex: number;
  record: number;
  draw: number;
}

/** The record number of the initial state. */
export const initialRecord = 0xffffffff;

function boxMuller(word0: number, word1: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log((word0 + 0.5) * 2 ** -32));
  const angle = 2 * Math.PI * (word1 + 0.5) * 2 ** -32;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** The first `count` standard normals of a stream, in float64. */
export function normals(stream: Stream, count: number): Float64Array {
  const values: number[] = [];
  for (let block = 0; values.length < count; ++block) {
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = philox4x32(
      [block, stream.record, stream.sampleIndex, stream.draw],
      stream.seed,
    );
    values.push(...boxMuller(w0, w1), ...boxMuller(w2, w3));
  }
  return Float64Array.from(values.slice(0, count));
}
