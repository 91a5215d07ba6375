import { elementCount, listNames } from '../arrays.js';
import { DpmError } from '../errors.js';
import type { NativeBlock, NativeUNet } from '../native.js';
import type { Checkpoint } from './checkpoint.js';

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
  Extract<NativeBlock, { kind: 'residual' }>,
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

function addBlock(shapes: Shapes, block: NativeBlock, embedding: number): void {
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
export function lastChannels({ blocks, baseChannels }: NativeUNet): number {
  const last = blocks.findLast((block) => block.kind === 'residual');
  return last?.outChannels ?? baseChannels;
}

/** The block of a complex head, which is of the network's own kind. */
export function headBlock(unet: NativeUNet, prefix: string): ResidualShape {
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

function addHead(shapes: Shapes, unet: NativeUNet): void {
  const { head } = unet;
  if (head === null) return;
  if (head.complex) addResidual(shapes, headBlock(unet, head.prefix), unet.time.embedding);
  const channels = lastChannels(unet);
  addNorm(shapes, `${head.prefix}.norm_out`, channels);
  addConvolution(shapes, `${head.prefix}.conv_out`, channels, head.outChannels, 3);
}

function addClasses(shapes: Shapes, { classes, classEmbedding = 'row', time }: NativeUNet): void {
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
export function requiredTensors(unet: NativeUNet): Map<string, number[]> {
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
export function parameterCount(unet: NativeUNet): number {
  return [...requiredTensors(unet).values()].reduce((sum, shape) => sum + elementCount(shape), 0);
}

/** How a checkpoint differs from what a network needs. */
export interface WeightReport {
  missing: string[];
  unused: string[];
  /** Tensors of another shape. */
  misshapen: { name: string; shape: number[]; expected: number[] }[];
}

export function sameShape(shape: readonly number[], expected: readonly number[]): boolean {
  // Projections of attention are stored as matrices or, in old files, as 1x1 convolutions.
  const squeezed =
    expected.length === 2 && shape.length === 4 && shape[2] === 1 && shape[3] === 1 ? shape.slice(0, 2) : shape;
  return squeezed.length === expected.length && squeezed.every((size, axis) => size === expected[axis]);
}

/** Compares a checkpoint with the weights a network needs. */
export function compareWeights(required: ReadonlyMap<string, number[]>, checkpoint: Checkpoint): WeightReport {
  const report: WeightReport = { missing: [], unused: [], misshapen: [] };
  for (const [name, expected] of required) {
    const entry = checkpoint.tensors.get(name);
    if (entry === undefined) report.missing.push(name);
    else if (!sameShape(entry.shape, expected)) report.misshapen.push({ name, shape: entry.shape, expected });
  }
  report.unused = [...checkpoint.tensors.keys()].filter((name) => !required.has(name));
  return report;
}

/**
 * Refuses a checkpoint that does not fit its network exactly: a half-loaded network looks like a bad one.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING`, `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_TENSOR_UNUSED` with the names.
 */
export function requireMatchingWeights(report: WeightReport, checkpoint: Checkpoint): void {
  const where = checkpoint.files.join(', ');
  if (report.missing.length > 0) {
    const unused = report.unused.length > 0 ? `; not used: ${listNames(report.unused)}` : '';
    throw new DpmError(
      'ERR_DPM_TENSOR_MISSING',
      `${where}: ${report.missing.length} tensors are missing: ${listNames(report.missing)}${unused}`,
    );
  }
  const [bad] = report.misshapen;
  if (bad !== undefined) {
    const { name, shape, expected } = bad;
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${where}: tensor '${name}' is [${shape.join(', ')}], the configuration needs [${expected.join(', ')}]`,
    );
  }
  if (report.unused.length > 0) {
    throw new DpmError(
      'ERR_DPM_TENSOR_UNUSED',
      `${where}: ${report.unused.length} tensors are not used by this configuration: ${listNames(report.unused)}`,
    );
  }
}
