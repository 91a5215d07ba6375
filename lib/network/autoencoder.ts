import { GraphBuilder, type Graph } from './graph.js';
import { convolution, copied, groupNorm, selfAttention, silu, sum } from './layers.js';
import type { Extents } from './operation.js';

/** Autoencoder of latents that are normal given the image (`AutoencoderKL`). */
export interface KlDescription {
  readonly kind: 'kl';
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  /** Width of each level, the first at the image's size, each further one at half the size. */
  readonly channels: readonly number[];
  /** Number of residual blocks of a level of the encoder; the decoder has one more. */
  readonly layers: number;
  readonly groups: number;
  readonly midAttention: boolean;
  /** 1x1 convolutions behind the encoder and before the decoder. */
  readonly quantConvolution: boolean;
  readonly postQuantConvolution: boolean;
}

/** One half of a small autoencoder without norms: widths and numbers of blocks of its stages. */
export interface TinyHalf {
  readonly channels: number;
  readonly blocks: readonly number[];
}

/** Small autoencoder whose latents are those of a diffusion (`AutoencoderTiny`). */
export interface TinyDescription {
  readonly kind: 'tiny';
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  readonly encoder: TinyHalf;
  readonly decoder: TinyHalf;
}

export type AutoencoderDescription = KlDescription | TinyDescription;

/** Half of an autoencoder: images to latents, or latents to images. */
export type AutoencoderHalf = 'encoder' | 'decoder';

/** Number of times that an image is larger than its latents, on either axis. */
export function latentFactor(autoencoder: AutoencoderDescription): number {
  const stages = autoencoder.kind === 'kl' ? autoencoder.channels.length : autoencoder.decoder.blocks.length;
  return 2 ** (stages - 1);
}

const epsilon = 1e-6;

class KlCompiler {
  readonly #graph: GraphBuilder;
  readonly #description: KlDescription;

  constructor(graph: GraphBuilder, description: KlDescription) {
    this.#graph = graph;
    this.#description = description;
  }

  encode(image: number): number {
    const { channels, layers, latentChannels, quantConvolution } = this.#description;
    let h = convolution(this.#graph, 'encoder.conv_in', image, channels[0] ?? 0);
    for (const [level, width] of channels.entries()) {
      const name = `encoder.down_blocks.${level}`;
      for (let i = 0; i < layers; ++i) h = this.#residual(`${name}.resnets.${i}`, h, width);
      if (level === channels.length - 1) continue;
      h = convolution(this.#graph, `${name}.downsamplers.0.conv`, h, width, { stride: 2, padBefore: 0 });
    }
    h = this.#output('encoder', this.#middle('encoder', h), 2 * latentChannels);
    return quantConvolution ? convolution(this.#graph, 'quant_conv', h, 2 * latentChannels, { kernel: 1 }) : h;
  }

  decode(latents: number): number {
    const { channels, layers, latentChannels, postQuantConvolution, outChannels } = this.#description;
    const widths = channels.toReversed();
    let h = latents;
    if (postQuantConvolution) {
      h = convolution(this.#graph, 'post_quant_conv', copied(this.#graph, 'latents', h), latentChannels, { kernel: 1 });
    }
    h = this.#middle('decoder', convolution(this.#graph, 'decoder.conv_in', h, widths[0] ?? 0));
    for (const [level, width] of widths.entries()) {
      const name = `decoder.up_blocks.${level}`;
      for (let i = 0; i <= layers; ++i) h = this.#residual(`${name}.resnets.${i}`, h, width);
      if (level === channels.length - 1) continue;
      const large = this.#graph.add({ op: 'upsample' }, `${name}.nearest`, [h]);
      h = convolution(this.#graph, `${name}.upsamplers.0.conv`, large, width);
    }
    return this.#output('decoder', h, outChannels);
  }

  #middle(half: AutoencoderHalf, x: number): number {
    const { channels } = this.#graph.value(x);
    let h = this.#residual(`${half}.mid_block.resnets.0`, x, channels);
    const style = { groups: this.#description.groups, epsilon, heads: 1 };
    if (this.#description.midAttention) h = selfAttention(this.#graph, `${half}.mid_block.attentions.0`, h, style);
    return this.#residual(`${half}.mid_block.resnets.1`, h, channels);
  }

  #residual(name: string, x: number, to: number): number {
    let h = convolution(this.#graph, `${name}.conv1`, this.#normed(`${name}.norm1`, x), to);
    h = convolution(this.#graph, `${name}.conv2`, this.#normed(`${name}.norm2`, h), to);
    const isWidened = this.#graph.value(x).channels !== to;
    const shortcut = isWidened ? convolution(this.#graph, `${name}.conv_shortcut`, x, to, { kernel: 1 }) : x;
    return sum(this.#graph, `${name}.add`, h, shortcut);
  }

  #normed(name: string, x: number): number {
    return silu(this.#graph, `${name}.silu`, groupNorm(this.#graph, name, x, this.#description.groups, epsilon));
  }

  #output(half: AutoencoderHalf, x: number, to: number): number {
    return convolution(this.#graph, `${half}.conv_out`, this.#normed(`${half}.conv_norm_out`, x), to);
  }
}

/** Compiles halves whose layers are numbered through, activations and upsamplings too. */
class TinyCompiler {
  readonly #graph: GraphBuilder;
  readonly #half: AutoencoderHalf;
  #layers = 0;

  constructor(graph: GraphBuilder, half: AutoencoderHalf) {
    this.#graph = graph;
    this.#half = half;
  }

  encode(image: number, { channels, blocks }: TinyHalf, latentChannels: number): number {
    let h = this.#graph.add({ op: 'affine', scale: 0.5, shift: 0.5 }, 'encoder.from_range', [image]);
    for (const [stage, count] of blocks.entries()) {
      const isFirst = stage === 0;
      h = convolution(this.#graph, this.#next(), h, channels, isFirst ? {} : { stride: 2, bias: false });
      h = this.#blocks(h, count);
    }
    return convolution(this.#graph, this.#next(), h, latentChannels);
  }

  decode(latents: number, { channels, blocks }: TinyHalf, outChannels: number): number {
    let h = this.#graph.add({ op: 'affine', scale: 1 / 3, shift: 0 }, 'decoder.narrow', [latents]);
    h = this.#graph.add({ op: 'activation', kind: 'tanh' }, 'decoder.limit', [h]);
    h = this.#graph.add({ op: 'affine', scale: 3, shift: 0 }, 'decoder.widen', [h]);
    h = convolution(this.#graph, this.#next(), h, channels);
    h = this.#relu(this.#next(), h);
    for (const [stage, count] of blocks.entries()) {
      const isLast = stage === blocks.length - 1;
      h = this.#blocks(h, count);
      if (!isLast) h = this.#graph.add({ op: 'upsample' }, this.#next(), [h]);
      h = convolution(this.#graph, this.#next(), h, isLast ? outChannels : channels, { bias: isLast });
    }
    return this.#graph.add({ op: 'affine', scale: 2, shift: -1 }, 'decoder.to_range', [h]);
  }

  #next(): string {
    return `${this.#half}.layers.${this.#layers++}`;
  }

  #relu(name: string, x: number): number {
    return this.#graph.add({ op: 'activation', kind: 'relu' }, `${name}.relu`, [x]);
  }

  #blocks(x: number, count: number): number {
    let h = x;
    for (let i = 0; i < count; ++i) h = this.#block(this.#next(), h);
    return h;
  }

  #block(name: string, x: number): number {
    const { channels } = this.#graph.value(x);
    let h = x;
    for (const layer of [0, 2, 4]) {
      if (layer > 0) h = this.#relu(`${name}.conv.${layer - 1}`, h);
      h = convolution(this.#graph, `${name}.conv.${layer}`, h, channels);
    }
    return this.#relu(`${name}.fuse`, sum(this.#graph, `${name}.add`, h, x));
  }
}

/**
 * Builds the graph of one half of an autoencoder for images of a size.
 *
 * Input `image`: images [C, H, W] in [-1, 1] of the encoder, latents [latent channels, h, w] of the decoder. Output
 * `output`: images, in about [-1, 1]; of an encoder the means and, but for a small autoencoder, then the logarithms of the
 * variances.
 *
 * @param extents - Height and width of the input.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose channels or sides do not fit.
 */
export function autoencoderGraph(
  autoencoder: AutoencoderDescription,
  half: AutoencoderHalf,
  { height, width }: Pick<Extents, 'height' | 'width'>,
): Graph {
  const graph = new GraphBuilder();
  const { inChannels, outChannels, latentChannels } = autoencoder;
  const input = graph.input('image', { channels: half === 'encoder' ? inChannels : latentChannels, height, width });
  if (autoencoder.kind === 'kl') {
    const kl = new KlCompiler(graph, autoencoder);
    graph.output('output', half === 'encoder' ? kl.encode(input) : kl.decode(input));
  } else {
    const tiny = new TinyCompiler(graph, half);
    const { encoder, decoder } = autoencoder;
    const output =
      half === 'encoder' ? tiny.encode(input, encoder, latentChannels) : tiny.decode(input, decoder, outChannels);
    graph.output('output', output);
  }
  return graph.build();
}

/**
 * Builds the graph of both halves of a small autoencoder, one behind the other, as it learns.
 *
 * Input `image`: images [C, H, W] in [-1, 1]. Output `output`: what the decoder makes of their latents, of the same shape.
 *
 * @param extents - Height and width of the images.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose channels or sides do not fit.
 */
export function roundTripGraph(
  { encoder, decoder, ...channels }: TinyDescription,
  { height, width }: Pick<Extents, 'height' | 'width'>,
): Graph {
  const graph = new GraphBuilder();
  const image = graph.input('image', { channels: channels.inChannels, height, width });
  const latents = new TinyCompiler(graph, 'encoder').encode(image, encoder, channels.latentChannels);
  graph.output('output', new TinyCompiler(graph, 'decoder').decode(latents, decoder, channels.outChannels));
  return graph.build();
}
