import { at } from '../../base/arrays.js';
import { nativeWork } from '../../base/errors.js';
import type { NativeRates } from '../../engine/native-engine.js';
import type { Network } from '../../engine/network.js';
import { printLine, printTable } from '../output.js';
import { gflopsOf, type KindSum, sumByKind, type Work, workOf } from './floor.js';

/** A node's time and work. */
interface NodeProfile extends Work {
  name: string;
  milliseconds: number;
  multiplyAdds: number;
  gflops: number;
}

/** Where the time of an evaluation goes, and the least that each node could take. */
export interface Profile {
  network: string;
  batch: number;
  nodes: NodeProfile[];
  kinds: KindSum[];
}

/** Times every node of an evaluation. */
export async function profile(loaded: Network, network: string, batch: number, rates: NativeRates): Promise<Profile> {
  const times = await nativeWork(() => loaded.native.profile(batch, 10));
  const graph = loaded.native.nodes();
  const nodes = times.map((time, i) => ({
    ...time,
    gflops: gflopsOf(time.multiplyAdds, time.milliseconds),
    ...workOf(at(graph, i), batch, rates),
  }));
  return { network, batch, nodes, kinds: sumByKind(nodes) };
}

function nodeRow({ name, milliseconds, gflops, bytes, floor }: NodeProfile, total: number, peak: number): string[] {
  return [
    name,
    milliseconds.toFixed(3),
    ((100 * milliseconds) / total).toFixed(1),
    gflops.toFixed(1),
    ((100 * gflops) / peak).toFixed(0),
    (bytes / 1e6).toFixed(2),
    floor.milliseconds.toFixed(3),
    floor.limit,
    (milliseconds - floor.milliseconds).toFixed(3),
  ];
}

function kindRow({ kind, nodes, milliseconds, floorMilliseconds, aboveMilliseconds }: KindSum): string[] {
  return [kind, String(nodes), ...[milliseconds, floorMilliseconds, aboveMilliseconds].map((time) => time.toFixed(2))];
}

/** Prints the nodes in order of evaluation, then the kinds of operations by what there is to gain. */
export function printProfile({ network, batch, nodes, kinds }: Profile, { gflops }: NativeRates): void {
  const sum = (of: (kind: KindSum) => number): number => kinds.reduce((before, kind) => before + of(kind), 0);
  const total = sum(({ milliseconds }) => milliseconds);
  printLine(`${network}, batch ${batch}, by node:`);
  printTable([
    ['node', 'ms', '% of time', 'GFLOP/s', '% of peak', 'MB', 'floor, ms', 'limit', 'above, ms'],
    ...nodes.map((node) => nodeRow(node, total, gflops)),
  ]);
  printLine(`${network}, batch ${batch}, by kind:`);
  printTable([
    ['kind', 'nodes', 'ms', 'floor, ms', 'above, ms'],
    ...kinds.map(kindRow),
    kindRow({
      kind: 'all',
      nodes: nodes.length,
      milliseconds: total,
      floorMilliseconds: sum(({ floorMilliseconds }) => floorMilliseconds),
      aboveMilliseconds: sum(({ aboveMilliseconds }) => aboveMilliseconds),
    }),
  ]);
  printLine(
    'The floor is the least time of float32: arithmetic at the peak (3x3: of Winograd, if less) or bytes at the rate of a copy. Caches, bfloat16 and AMX can be below it',
  );
}
