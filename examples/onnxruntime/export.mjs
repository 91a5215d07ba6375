// Writes a diffusers U-Net (plain and attention blocks, float32), by default the bundled MNIST one, as an ONNX file: a
// network of another runtime for sample.mjs to drive.
//
//   cd examples/onnxruntime && npm install --ignore-scripts && node export.mjs [OUT.onnx] [MODEL_FOLDER]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { OnnxGraph } from './onnx-graph.mjs';

const folder = join(process.argv[3] ?? fileURLToPath(new URL('../../models/mnist', import.meta.url)), 'unet');
const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
const file = readFileSync(join(folder, 'diffusion_pytorch_model.safetensors'));
const headerBytes = Number(file.readBigUInt64LE(0));
const header = JSON.parse(file.toString('utf8', 8, 8 + headerBytes));

const graph = new OnnxGraph();
const channels = config.block_out_channels;
const base = channels[0];

/** A tensor of the checkpoint: its values and its shape. */
function read(name) {
  const { shape, data_offsets: offsets } = header[name];
  const bytes = Uint8Array.from(file.subarray(8 + headerBytes + offsets[0], 8 + headerBytes + offsets[1]));
  return { shape, data: new Float32Array(bytes.buffer) };
}

/** A tensor of the checkpoint as an initializer of the graph, in another shape where asked for. */
function weight(name, shape = read(name).shape) {
  return graph.floats(name, shape, read(name).data);
}

const scalar = (value) => graph.floats(`scalar_${value}`, [], [value]);
const silu = (x) => graph.node('Mul', [x, graph.node('Sigmoid', [x])]);

function convolution(name, x, { stride = 1, pads = [1, 1, 1, 1] } = {}) {
  const kernel = read(`${name}.weight`).shape.slice(2);
  const ints = (values) => values.map(BigInt);
  return graph.node('Conv', [x, weight(`${name}.weight`), weight(`${name}.bias`)], {
    kernel_shape: ints(kernel),
    strides: ints([stride, stride]),
    pads: ints(kernel[0] === 1 ? [0, 0, 0, 0] : pads),
  });
}

function linear(name, x) {
  return graph.node('Gemm', [x, weight(`${name}.weight`), weight(`${name}.bias`)], { transB: 1n });
}

function groupNorm(name, x, size) {
  const [width] = read(`${name}.weight`).shape;
  const groups = config.norm_num_groups;
  const grouped = graph.node('Reshape', [x, graph.integers([0, groups, -1])]);
  const ones = graph.floats(`ones_${groups}`, [groups], new Array(groups).fill(1));
  const zeros = graph.floats(`zeros_${groups}`, [groups], new Array(groups).fill(0));
  const normed = graph.node('InstanceNormalization', [grouped, ones, zeros], { epsilon: config.norm_eps });
  const restored = graph.node('Reshape', [normed, graph.integers([-1, width, size, size])]);
  const perChannel = (part) => weight(`${name}.${part}`, [1, width, 1, 1]);
  return graph.node('Add', [graph.node('Mul', [restored, perChannel('weight')]), perChannel('bias')]);
}

let embedding;

function residual(name, x, size) {
  let h = convolution(`${name}.conv1`, silu(groupNorm(`${name}.norm1`, x, size)));
  const projection = linear(`${name}.time_emb_proj`, embedding);
  const width = header[`${name}.conv1.weight`].shape[0];
  h = graph.node('Add', [h, graph.node('Reshape', [projection, graph.integers([-1, width, 1, 1])])]);
  h = convolution(`${name}.conv2`, silu(groupNorm(`${name}.norm2`, h, size)));
  const shortcut = `${name}.conv_shortcut.weight` in header ? convolution(`${name}.conv_shortcut`, x) : x;
  return graph.node('Add', [h, shortcut]);
}

function attention(name, x, size) {
  const width = header[`${name}.to_q.weight`].shape[0];
  const tokens = graph.node('Reshape', [groupNorm(`${name}.group_norm`, x, size), graph.integers([0, width, -1])]);
  const project = (part, input) => {
    const product = graph.node('MatMul', [weight(`${name}.${part}.weight`), input]);
    return graph.node('Add', [product, weight(`${name}.${part}.bias`, [width, 1])]);
  };
  const transposed = (input) => graph.node('Transpose', [input], { perm: [0n, 2n, 1n] });
  const logits = graph.node('MatMul', [transposed(project('to_q', tokens)), project('to_k', tokens)]);
  const weights = graph.node('Softmax', [graph.node('Mul', [logits, scalar(1 / Math.sqrt(width))])], { axis: -1n });
  const out = project('to_out.0', graph.node('MatMul', [project('to_v', tokens), transposed(weights)]));
  return graph.node('Add', [x, graph.node('Reshape', [out, graph.integers([-1, width, size, size])])]);
}

function embedTime() {
  const half = base / 2;
  const frequencies = Array.from({ length: half }, (_, i) =>
    Math.exp((-Math.log(1e4) * i) / (half - config.freq_shift)),
  );
  const column = graph.node('Reshape', ['t', graph.integers([-1, 1])]);
  const angles = graph.node('Mul', [column, graph.floats('frequencies', [1, half], frequencies)]);
  const parts = [graph.node('Sin', [angles]), graph.node('Cos', [angles])];
  const sinusoid = graph.node('Concat', config.flip_sin_to_cos ? parts.reverse() : parts, { axis: 1n });
  return silu(linear('time_embedding.linear_2', silu(linear('time_embedding.linear_1', sinusoid))));
}

function upsample(name, x) {
  const scales = graph.floats('twice', [4], [1, 1, 2, 2]);
  const nearest = { mode: 'nearest', nearest_mode: 'floor', coordinate_transformation_mode: 'asymmetric' };
  return convolution(name, graph.node('Resize', [x, '', scales], nearest));
}

embedding = embedTime();
let size = config.sample_size;
let h = convolution('conv_in', 'x');
const skips = [h];
const last = channels.length - 1;
for (let level = 0; level <= last; ++level) {
  const name = `down_blocks.${level}`;
  for (let layer = 0; layer < config.layers_per_block; ++layer) {
    h = residual(`${name}.resnets.${layer}`, h, size);
    if (config.down_block_types[level] === 'AttnDownBlock2D') h = attention(`${name}.attentions.${layer}`, h, size);
    skips.push(h);
  }
  if (level === last) break;
  h = convolution(`${name}.downsamplers.0.conv`, h, {
    stride: 2,
    pads: config.downsample_padding === 0 ? [0, 0, 1, 1] : [1, 1, 1, 1],
  });
  size /= 2;
  skips.push(h);
}
h = residual('mid_block.resnets.0', h, size);
h = attention('mid_block.attentions.0', h, size);
h = residual('mid_block.resnets.1', h, size);
for (let level = 0; level <= last; ++level) {
  const name = `up_blocks.${level}`;
  for (let layer = 0; layer <= config.layers_per_block; ++layer) {
    h = residual(`${name}.resnets.${layer}`, graph.node('Concat', [h, skips.pop()], { axis: 1n }), size);
    if (config.up_block_types[level] === 'AttnUpBlock2D') h = attention(`${name}.attentions.${layer}`, h, size);
  }
  if (level === last) break;
  h = upsample(`${name}.upsamplers.0.conv`, h);
  size *= 2;
}
h = convolution('conv_out', silu(groupNorm('conv_norm_out', h, size)));
graph.node('Identity', [h], {}, 'epsilon');

const image = ['batch', config.in_channels, size, size];
const path = process.argv[2] ?? 'mnist.onnx';
writeFileSync(path, graph.file({ x: image, t: ['batch'] }, { epsilon: image }));
console.log(path);
