// Writes a model folder's network (float32 weights), by default the bundled MNIST one, as an ONNX file: a network of
// another runtime for sample.mjs to drive.
//
//   cd examples/onnxruntime && npm install --ignore-scripts && node export.mjs [OUT.onnx] [MODEL_FOLDER]
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { loadableNetwork } from '../../dist/checkpoint/model-folder.js';
import { readModelFolder } from '../../dist/checkpoint/read-model.js';
import { onnxFile } from './unet.mjs';

const path = process.argv[2] ?? 'mnist.onnx';
const folder = process.argv[3] ?? fileURLToPath(new URL('../../models/mnist', import.meta.url));
const { unet, graph } = await loadableNetwork(await readModelFolder(folder), null);
const files = graph.files.map((file) => readFileSync(file));
const entries = new Map(graph.constants.map((entry) => [entry.name, entry]));
const file = onnxFile(unet, (name) => {
  const { file: index, offset, bytes, shape, dtype } = entries.get(name);
  if (dtype !== 'F32') throw new Error(`${name} is ${dtype}, this example writes float32 weights`);
  return { shape, data: new Float32Array(Uint8Array.from(files[index].subarray(offset, offset + bytes)).buffer) };
});
writeFileSync(path, file);
console.log(path);
