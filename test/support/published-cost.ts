import { multiplyAdds } from '../../lib/network/cost.js';
import type { UNetDescription } from '../../lib/network/description.js';
import { unetGraph } from '../../lib/network/unet.js';

/**
 * Multiply-adds as the authors of a network count them. Our graph convolves an image before its filter halves it, where theirs
 * filters first; and it looks a label up, where theirs multiplies a one-hot vector by the whole table.
 */
export function publishedMultiplyAdds(unet: UNetDescription): number {
  const { classes, classEmbedding, time } = unet;
  let total = multiplyAdds(unetGraph(unet));
  if (classEmbedding === 'scaled-row') total += classes * time.channels;
  let size = unet.height;
  for (const block of unet.blocks) {
    if (block.kind === 'image-residual' && block.fir) {
      const product = 9 * block.from * block.channels;
      total += product * (size ** 2 - (2 * size + 2) ** 2);
    }
    const method = block.kind === 'resample' ? block.method : block.kind === 'residual' ? block.resample : 'none';
    if (method === 'mean' || method === 'fir-down' || block.kind === 'downsample') size /= 2;
    if (method === 'nearest' || method === 'fir-up' || block.kind === 'upsample') size *= 2;
  }
  return total;
}
