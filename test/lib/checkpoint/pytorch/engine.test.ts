// Weights mapped out of a PyTorch file give what the same weights give in a safetensors file, wherever they lie.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { nativeGraph } from '../../../../lib/checkpoint/checkpoint.js';
import { loadableNetwork } from '../../../../lib/checkpoint/model-folder.js';
import { pytorchCheckpoint, readPytorchFile, tensorsOf } from '../../../../lib/checkpoint/pytorch/index.js';
import { readModelFolder } from '../../../../lib/checkpoint/read-model.js';
import { native } from '../../../../lib/engine/addon.js';
import type { NativeGraph } from '../../../../lib/engine/native-graph.js';
import { unetGraph } from '../../../../lib/network/unet.js';
import { engineOptions } from '../../../support/native-engine.js';
import { packagePath, temporaryFolder } from '../../../support/temporary.js';
import { archive, checkpointEntries, pickle, type Part } from '../../../support/write-pytorch.js';

const { text, integer, dictionary, storage, tensor, whole } = pickle;
const types = { F32: 'FloatStorage', F16: 'HalfStorage', BF16: 'BFloat16Storage' };

/** The same weights as an archive, each in a storage of its own. */
function asPytorch({ files, constants }: NativeGraph): Buffer {
  const contents = files.map((file) => readFileSync(file));
  const entries: Part[] = [];
  const storages: Record<string, Uint8Array> = {};
  for (const [i, { name, file, dtype, shape, offset, bytes }] of constants.filter((each) => 'file' in each).entries()) {
    const elements = shape.reduce((product, size) => product * size, 1);
    const stride = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
    const place = storage(String(i), elements, types[dtype]);
    entries.push(text(name), tensor(place, integer(0), shape.map(integer), stride.map(integer)));
    storages[i] = contents[file]!.subarray(offset, offset + bytes);
  }
  return archive(checkpointEntries(whole(dictionary(...entries)), storages));
}

it('weights of a PyTorch file are mapped where they lie, at odd offsets too', async () => {
  const { unet, graph } = await loadableNetwork(await readModelFolder(packagePath('models/mnist')), null);
  const path = join(temporaryFolder(), 'mnist.pth');
  writeFileSync(path, asPytorch(graph));
  const file = await readPytorchFile(path);
  const checkpoint = pytorchCheckpoint(file, tensorsOf(file).tensors);
  const mapped = nativeGraph(unetGraph(unet), checkpoint);
  expect(mapped.constants.some((each) => 'offset' in each && each.offset % 2 === 1)).toBe(true);

  const x = Float32Array.from({ length: 784 }, (_, i) => Math.sin(i));
  for (const device of ['cpu', 'reference']) {
    const outputs: Float32Array[] = [];
    for (const each of [graph, mapped]) {
      const engine = new (native().Engine)({ ...engineOptions, device });
      const network = await engine.loadNetwork(each, { classes: 0, divisor: null });
      const out = new Float32Array(784);
      await network.forward(1, x, Float32Array.of(10), null, out, null);
      await engine.close();
      outputs.push(out);
    }
    expect(outputs[0]!.some((value) => value !== 0)).toBe(true);
    expect(outputs[1]).toEqual(outputs[0]);
  }
});
