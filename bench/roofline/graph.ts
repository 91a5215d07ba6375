import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { elementCount } from '../../lib/base/arrays.js';
import { nativeWork } from '../../lib/base/errors.js';
import type { NativeNetworkOptions } from '../../lib/engine/binding.js';
import type { NativeNode } from '../../lib/engine/native-node.js';
import type { NativeWeight } from '../../lib/engine/native-graph.js';
import type { Device } from '../../lib/engine/device.js';
import { requiredTensors } from '../../lib/network/cost.js';
import type { UNetDescription } from '../../lib/network/description.js';
import type { Graph } from '../../lib/network/graph.js';
import { unetGraph } from '../../lib/network/unet.js';

/** The graph of a network after fusion for `device`. */
export function graphOf(device: Device, description: UNetDescription): Promise<NativeNode[]> {
  const { classes, divisor = null } = description;
  return fusedNodes(device, unetGraph(description), { classes, divisor });
}

/** The nodes of a graph after fusion for `device`. All weights share the same zeros, since none is evaluated. */
export async function fusedNodes(device: Device, graph: Graph, options: NativeNetworkOptions): Promise<NativeNode[]> {
  const tensors: NativeWeight[] = [];
  for (const [name, shape] of requiredTensors(graph)) {
    tensors.push({ name, file: 0, dtype: 'BF16', shape, offset: 0, bytes: 2 * elementCount(shape) });
  }
  const folder = await mkdtemp(join(tmpdir(), 'dpm-bench-'));
  try {
    const path = join(folder, 'zeros.bin');
    const file = await open(path, 'wx');
    await file.truncate(Math.max(...tensors.map(({ bytes }) => bytes))).finally(() => file.close());
    const network = await nativeWork(() =>
      device.engine.loadNetwork({ ...graph, constants: tensors, files: [path] }, options),
    );
    try {
      return network.nodes();
    } finally {
      await network.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
