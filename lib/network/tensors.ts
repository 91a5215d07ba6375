import { elementCount } from '../base/arrays.js';
import type { Block, UNetDescription } from './description.js';

type Shapes = Map<string, number[]>;

function addConvolution(shapes: Shapes, name: string, from: number, to: number, size: number): void {
  shapes.set(`${name}.weight`, [to, from, size, size]);
  shapes.set(`${name}.bias`, [to]);
}

function addLinear(shapes: Shapes, name: string, from: number, to: number): void {
  shapes.set(`${name}.weight`, [to, from]);
  shapes.set(`${name}.bias`, [to]);
}

function addNorm(shapes: Shapes, name: string, channels: number): void {
  shapes.set(`${name}.weight`, [channels]);
  shapes.set(`${name}.bias`, [channels]);
}

export type ResidualShape = Pick<
  Extract<Block, { kind: 'residual' }>,
  'name' | 'inChannels' | 'outChannels' | 'timeMode' | 'shortcut'
>;

function addResidual(shapes: Shapes, block: ResidualShape, embedding: number): void {
  const { name, inChannels, outChannels } = block;
  addNorm(shapes, `${name}.norm1`, inChannels);
  addConvolution(shapes, `${name}.conv1`, inChannels, outChannels, 3);
  addLinear(
    shapes,
    `${name}.time_emb_proj`,
    embedding,
    block.timeMode === 'scale-shift' ? 2 * outChannels : outChannels,
  );
  addNorm(shapes, `${name}.norm2`, outChannels);
  addConvolution(shapes, `${name}.conv2`, outChannels, outChannels, 3);
  if (block.shortcut === 'convolution') addConvolution(shapes, `${name}.conv_shortcut`, inChannels, outChannels, 1);
}

function addBlock(shapes: Shapes, block: Block, embedding: number): void {
  switch (block.kind) {
    case 'push':
    case 'pop':
    case 'resample':
    case 'image-resample':
    case 'result-resample':
      return;
    case 'residual':
      addResidual(shapes, block, embedding);
      return;
    case 'attention':
      if (block.groups > 0) addNorm(shapes, `${block.name}.group_norm`, block.channels);
      for (const part of ['to_q', 'to_k', 'to_v', 'to_out.0']) {
        addLinear(shapes, `${block.name}.${part}`, block.channels, block.channels);
      }
      return;
    case 'downsample':
    case 'upsample':
      addConvolution(shapes, block.name, block.channels, block.channels, 3);
      return;
    case 'image-combine':
      addConvolution(shapes, block.name, block.from, block.channels, 1);
      return;
    case 'image-residual':
      addConvolution(shapes, block.name, block.from, block.channels, 3);
      return;
    case 'result-add':
      addNorm(shapes, block.norm, block.channels);
      addConvolution(shapes, block.name, block.channels, block.to, 3);
  }
}

/** Channels of the last map, from which the output and its head are computed. */
export function lastChannels({ blocks, baseChannels }: UNetDescription): number {
  const last = blocks.findLast((block) => block.kind === 'residual');
  return last?.outChannels ?? baseChannels;
}

/** The block of a complex head, which is of the network's own kind. */
export function headBlock(unet: UNetDescription, prefix: string): ResidualShape {
  const channels = lastChannels(unet);
  const scaleShift = unet.blocks.some((block) => block.kind === 'residual' && block.timeMode === 'scale-shift');
  return {
    name: `${prefix}.resnet`,
    inChannels: channels,
    outChannels: channels,
    timeMode: scaleShift ? 'scale-shift' : 'add',
    shortcut: 'identity',
  };
}

function addHead(shapes: Shapes, unet: UNetDescription): void {
  const { head } = unet;
  if (head === null) return;
  if (head.complex) addResidual(shapes, headBlock(unet, head.prefix), unet.time.embedding);
  const channels = lastChannels(unet);
  addNorm(shapes, `${head.prefix}.norm_out`, channels);
  addConvolution(shapes, `${head.prefix}.conv_out`, channels, head.outChannels, 3);
}

function addClasses(shapes: Shapes, { classes, classEmbedding = 'row', time }: UNetDescription): void {
  if (classEmbedding === 'time') {
    addLinear(shapes, 'class_embedding.linear_1', time.channels, time.embedding);
    addLinear(shapes, 'class_embedding.linear_2', time.embedding, time.embedding);
    return;
  }
  const channels = classEmbedding === 'scaled-row' ? time.channels : time.embedding;
  shapes.set('class_embedding.weight', [classes, channels]);
  if (classEmbedding === 'scaled-row') shapes.set('class_embedding.bias', [channels]);
}

/** The weights a network needs, with their shapes: canonical name -> shape, in the order of evaluation. */
export function requiredTensors(unet: UNetDescription): Map<string, number[]> {
  const shapes: Shapes = new Map();
  addConvolution(shapes, 'conv_in', unet.inChannels, unet.baseChannels, 3);
  const { channels: features, fourier = null, rows = null } = unet.time;
  if (fourier !== null) shapes.set('time_proj.weight', [features / 2]);
  if (rows !== null) shapes.set('time_proj.weight', [rows, features]);
  addLinear(shapes, 'time_embedding.linear_1', unet.time.channels, unet.time.embedding);
  addLinear(shapes, 'time_embedding.linear_2', unet.time.embedding, unet.time.embedding);
  if (unet.classes > 0) addClasses(shapes, unet);
  for (const block of unet.blocks) addBlock(shapes, block, unet.time.embedding);
  if (unet.output !== null) {
    const channels = lastChannels(unet);
    addNorm(shapes, 'conv_norm_out', channels);
    addConvolution(shapes, 'conv_out', channels, unet.outChannels, 3);
  }
  addHead(shapes, unet);
  return shapes;
}

/** Number of parameters of a network. */
export function parameterCount(unet: UNetDescription): number {
  return [...requiredTensors(unet).values()].reduce((sum, shape) => sum + elementCount(shape), 0);
}
