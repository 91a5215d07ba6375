import type { Block, UNetDescription } from './description.js';
import { headBlock, lastChannels, type ResidualShape } from './tensors.js';

interface Position {
  height: number;
  width: number;
}

function convolution(from: number, to: number, size: number, { height, width }: Position): number {
  return from * to * size * size * height * width;
}

function resized({ height, width }: Position, factor: number): Position {
  return { height: height * factor, width: width * factor };
}

function residualCost(block: ResidualShape, at: Position, embedding: number): number {
  const { inChannels, outChannels } = block;
  const projected = block.timeMode === 'scale-shift' ? 2 * outChannels : outChannels;
  return (
    convolution(inChannels, outChannels, 3, at) +
    convolution(outChannels, outChannels, 3, at) +
    (block.shortcut === 'convolution' ? convolution(inChannels, outChannels, 1, at) : 0) +
    embedding * projected
  );
}

const zoom = { mean: 0.5, nearest: 2, 'fir-down': 0.5, 'fir-up': 2 } as const;

function blockCost(block: Block, before: Position, embedding: number): { cost: number; after: Position } {
  switch (block.kind) {
    case 'push':
    case 'pop':
    case 'image-resample':
    case 'result-resample':
      return { cost: 0, after: before };
    case 'residual': {
      const factor = block.resample === 'none' ? 1 : zoom[block.resample];
      const after = resized(before, factor);
      return { cost: residualCost(block, after, embedding), after };
    }
    case 'attention': {
      const pixels = before.height * before.width;
      return { cost: 4 * block.channels ** 2 * pixels + 2 * block.channels * pixels ** 2, after: before };
    }
    case 'downsample': {
      const after = resized(before, 0.5);
      return { cost: convolution(block.channels, block.channels, 3, after), after };
    }
    case 'upsample': {
      const after = resized(before, 2);
      return { cost: convolution(block.channels, block.channels, 3, after), after };
    }
    case 'resample':
      return { cost: 0, after: resized(before, zoom[block.method]) };
    case 'image-combine':
      return { cost: convolution(block.from, block.channels, 1, before), after: before };
    case 'image-residual':
      return { cost: convolution(block.from, block.channels, 3, before), after: before };
    case 'result-add':
      return { cost: convolution(block.channels, block.to, 3, before), after: before };
  }
}

/** Multiply-adds of convolutions, linear layers and attention in one evaluation of one image. */
export function multiplyAdds(unet: UNetDescription): number {
  const { baseChannels, time, head } = unet;
  const full: Position = { height: unet.height, width: unet.width };
  const last = lastChannels(unet);
  let total = convolution(unet.inChannels, baseChannels, 3, full);
  if (unet.output !== null) total += convolution(last, unet.outChannels, 3, full);
  const embeddingCost = time.channels * time.embedding + time.embedding ** 2;
  total += embeddingCost;
  if (unet.classEmbedding === 'scaled-row') total += unet.classes * time.channels;
  if (unet.classEmbedding === 'time') total += embeddingCost;
  let position = full;
  for (const block of unet.blocks) {
    const { cost, after } = blockCost(block, position, time.embedding);
    total += cost;
    position = after;
  }
  if (head === null) return total;
  total += convolution(last, head.outChannels, 3, full);
  return head.complex ? total + residualCost(headBlock(unet, head.prefix), full, time.embedding) : total;
}
