// Writes a network as an ONNX file, from dpm-native's own description of it: the same blocks in the same order, so that
// another runtime computes what this one does.
import { OnnxGraph } from './onnx-graph.mjs';

const ints = (values) => values.map(BigInt);

class Exporter {
  graph = new OnnxGraph();
  #skips = [];

  /** `read(name)` gives a weight's shape and its float32 values. */
  constructor(unet, read) {
    this.unet = unet;
    this.read = read;
    this.size = [unet.height, unet.width];
  }

  weight(name, shape) {
    const tensor = this.read(name);
    return this.graph.floats(name, shape ?? tensor.shape, tensor.data);
  }

  node(type, inputs, attributes) {
    return this.graph.node(type, inputs, attributes);
  }

  reshape(x, ...dims) {
    return this.node('Reshape', [x, this.graph.integers(dims)]);
  }

  scaled(x, factor) {
    return factor === 1 ? x : this.node('Mul', [x, this.graph.floats(`scalar_${factor}`, [], [factor])]);
  }

  silu(x) {
    return this.node('Mul', [x, this.node('Sigmoid', [x])]);
  }

  convolution(name, x, { stride = 1, pads } = {}) {
    const kernel = this.read(`${name}.weight`).shape.slice(2);
    const margin = Math.floor(kernel[0] / 2);
    return this.node('Conv', [x, this.weight(`${name}.weight`), this.weight(`${name}.bias`)], {
      kernel_shape: ints(kernel),
      strides: ints([stride, stride]),
      pads: ints(pads ?? [margin, margin, margin, margin]),
    });
  }

  linear(name, x) {
    return this.node('Gemm', [x, this.weight(`${name}.weight`), this.weight(`${name}.bias`)], { transB: 1n });
  }

  groupNorm(name, x, groups, epsilon) {
    const [width] = this.read(`${name}.weight`).shape;
    const ones = this.graph.floats(`ones_${groups}`, [groups], new Array(groups).fill(1));
    const zeros = this.graph.floats(`zeros_${groups}`, [groups], new Array(groups).fill(0));
    const normed = this.node('InstanceNormalization', [this.reshape(x, 0, groups, -1), ones, zeros], { epsilon });
    const restored = this.reshape(normed, -1, width, ...this.size);
    const perChannel = (part) => this.weight(`${name}.${part}`, [1, width, 1, 1]);
    return this.node('Add', [this.node('Mul', [restored, perChannel('weight')]), perChannel('bias')]);
  }

  embedTime() {
    const { channels, shift, order } = this.unet.time;
    const half = channels / 2;
    const frequencies = Array.from({ length: half }, (_, i) => Math.exp((-Math.log(1e4) * i) / (half - shift)));
    const angles = this.node('Mul', [
      this.reshape('t', -1, 1),
      this.graph.floats('frequencies', [1, half], frequencies),
    ]);
    const parts = [this.node('Sin', [angles]), this.node('Cos', [angles])];
    const sinusoid = this.node('Concat', order === 'cos-sin' ? parts.reverse() : parts, { axis: 1n });
    const hidden = this.silu(this.linear('time_embedding.linear_1', sinusoid));
    this.embedding = this.silu(this.linear('time_embedding.linear_2', hidden));
  }

  twice(x) {
    const scales = this.graph.floats('twice', [4], [1, 1, 2, 2]);
    const nearest = { mode: 'nearest', nearest_mode: 'floor', coordinate_transformation_mode: 'asymmetric' };
    return this.node('Resize', [x, '', scales], nearest);
  }

  resample(x, kind) {
    if (kind === 'nearest') return this.twice(x);
    if (kind === 'mean') return this.node('AveragePool', [x], { kernel_shape: [2n, 2n], strides: [2n, 2n] });
    return x;
  }

  residual(block, x) {
    const { name, outChannels, epsilon, resample } = block;
    let h = this.resample(this.silu(this.groupNorm(`${name}.norm1`, x, block.groups1, epsilon)), resample);
    if (resample !== 'none') this.size = this.size.map((side) => (resample === 'mean' ? side / 2 : side * 2));
    h = this.convolution(`${name}.conv1`, h);
    const projection = this.reshape(this.linear(`${name}.time_emb_proj`, this.embedding), 0, -1, 1, 1);
    if (block.timeMode === 'add') h = this.node('Add', [h, projection]);
    h = this.groupNorm(`${name}.norm2`, h, block.groups2, epsilon);
    if (block.timeMode === 'scale-shift') h = this.scaleShift(h, projection, outChannels);
    h = this.convolution(`${name}.conv2`, this.silu(h));
    let shortcut = this.resample(x, resample);
    if (block.shortcut === 'convolution') shortcut = this.convolution(`${name}.conv_shortcut`, shortcut);
    return this.scaled(this.node('Add', [h, shortcut]), block.scale);
  }

  scaleShift(x, projection, channels) {
    const half = (from) =>
      this.node('Slice', [projection, ...[[from], [from + channels], [1]].map((each) => this.graph.integers(each))]);
    const factor = this.node('Add', [half(0), this.graph.floats('scalar_1', [], [1])]);
    return this.node('Add', [this.node('Mul', [x, factor]), half(channels)]);
  }

  attention({ name, channels, heads, groups, epsilon, scale }, x) {
    const normed = groups > 0 ? this.groupNorm(`${name}.group_norm`, x, groups, epsilon) : x;
    const project = (part, input) => {
      const product = this.node('MatMul', [this.weight(`${name}.${part}.weight`, [channels, channels]), input]);
      return this.node('Add', [product, this.weight(`${name}.${part}.bias`, [channels, 1])]);
    };
    const transposed = (input) => this.node('Transpose', [input], { perm: [0n, 1n, 3n, 2n] });
    const tokens = this.reshape(normed, 0, channels, -1);
    const [q, k, v] = ['to_q', 'to_k', 'to_v'].map((part) =>
      this.reshape(project(part, tokens), 0, heads, channels / heads, -1),
    );
    const logits = this.scaled(this.node('MatMul', [transposed(q), k]), 1 / Math.sqrt(channels / heads));
    const weights = this.node('Softmax', [logits], { axis: -1n });
    const attended = this.reshape(this.node('MatMul', [v, transposed(weights)]), 0, channels, -1);
    const out = this.reshape(project('to_out.0', attended), -1, channels, ...this.size);
    return this.scaled(this.node('Add', [x, out]), scale);
  }

  block(block, h) {
    switch (block.kind) {
      case 'push':
        this.#skips.push(h);
        return h;
      case 'pop':
        return this.node('Concat', [h, this.#skips.pop()], { axis: 1n });
      case 'residual':
        return this.residual(block, h);
      case 'attention':
        return this.attention(block, h);
      case 'downsample':
        this.size = this.size.map((side) => side / 2);
        return this.convolution(block.name, h, {
          stride: 2,
          pads: block.padding === 'asymmetric' ? [0, 0, 1, 1] : undefined,
        });
      case 'upsample':
        this.size = this.size.map((side) => side * 2);
        return this.convolution(block.name, this.twice(h));
    }
  }

  file() {
    const { unet, graph } = this;
    if (unet.classes > 0 || unet.centerInput || unet.head !== null) throw new Error('not written: classes, heads');
    this.embedTime();
    let h = this.convolution('conv_in', 'x');
    for (const block of unet.blocks) h = this.block(block, h);
    h = this.silu(this.groupNorm('conv_norm_out', h, unet.output.groups, unet.output.epsilon));
    graph.node('Identity', [this.convolution('conv_out', h)], {}, 'epsilon');
    const image = (channels) => ['batch', channels, unet.height, unet.width];
    return graph.file({ x: image(unet.inChannels), t: ['batch'] }, { epsilon: image(unet.outChannels) });
  }
}

/** The bytes of the ONNX file. */
export function onnxFile(unet, read) {
  return new Exporter(unet, read).file();
}
