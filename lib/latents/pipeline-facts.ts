import type { HeadName } from '../checkpoint/heads.js';
import { autoencoderWeights } from '../checkpoint/pipelines/autoencoder.js';
import { conditionalWeights } from '../checkpoint/pipelines/conditional.js';
import { textEncoderWeights } from '../checkpoint/pipelines/text-encoder.js';
import { autoencoderGraph, latentFactor } from '../network/autoencoder.js';
import { conditionalGraph } from '../network/conditional.js';
import { countElements, multiplyAdds } from '../network/cost.js';
import type { Extents } from '../network/operation.js';
import type { PipelineSource } from './pipeline-source.js';

async function encoderFacts({ read, tokenizer }: PipelineSource['encoders'][number]) {
  const [{ description }, { length, vocabulary: known }] = [await read(), await tokenizer()];
  const { width, layers, heads, tokens, vocabulary, projection } = description;
  const parameters = countElements(textEncoderWeights(description).values());
  return {
    encoder: { width, layers, heads, tokens, vocabulary, projection, parameters },
    tokenizer: { tokens: length, vocabulary: known },
  };
}

/** What is counted of a network. */
interface Counts {
  readonly parameters: number;
  /** Multiply-adds of one evaluation of the U-Net for one row, and of the decoder for one image. */
  readonly multiplyAdds: number;
}

/** Facts of the parts of a pipeline. */
export interface PipelineFacts {
  readonly size: Pick<Extents, 'height' | 'width'>;
  readonly unet: Counts & {
    readonly inChannels: number;
    readonly outChannels: number;
    readonly sampleSize: number;
    readonly channels: readonly number[];
    readonly contextWidth: number;
    readonly seesPooled: boolean;
    readonly seesGuidance: boolean;
    readonly heads: readonly HeadName[];
  };
  readonly vae: Counts & {
    readonly kind: 'kl' | 'tiny';
    readonly imageChannels: number;
    readonly latentChannels: number;
    readonly factor: number;
    readonly scale: number;
    readonly shift: number;
  };
  readonly textEncoders: readonly Awaited<ReturnType<typeof encoderFacts>>['encoder'][];
  readonly tokenizers: readonly Awaited<ReturnType<typeof encoderFacts>>['tokenizer'][];
}

/**
 * Reads what the configurations of a pipeline's parts say, counts their parameters and what they compute at a size.
 *
 * @param size - Height and width of images in pixels, multiples of the autoencoder's factor.
 */
export async function pipelineFacts(
  source: PipelineSource,
  size: Pick<Extents, 'height' | 'width'>,
): Promise<PipelineFacts> {
  const { description: network, sampleSize, textTime, heads = null } = await source.unet();
  const { description: autoencoder, latents } = await source.autoencoder();
  const encoders = await Promise.all(source.encoders.map(encoderFacts));
  const factor = latentFactor(autoencoder);
  const states = { height: size.height / factor, width: size.width / factor };
  const tokens = encoders[0]?.encoder.tokens ?? 1;
  return {
    size,
    unet: {
      inChannels: network.inChannels,
      outChannels: network.outChannels,
      sampleSize,
      channels: network.levels.map(({ channels }) => channels),
      contextWidth: network.contextWidth,
      seesPooled: textTime !== null,
      seesGuidance: network.guidanceFeatures !== null,
      heads: [...(heads?.heads.keys() ?? [])],
      parameters: countElements(conditionalWeights(network).values()),
      multiplyAdds: multiplyAdds(conditionalGraph(network, { ...states, tokens })),
    },
    vae: {
      kind: autoencoder.kind,
      imageChannels: autoencoder.outChannels,
      latentChannels: autoencoder.latentChannels,
      factor,
      ...latents,
      parameters: countElements(autoencoderWeights(autoencoder).values()),
      multiplyAdds: multiplyAdds(autoencoderGraph(autoencoder, 'decoder', states)),
    },
    textEncoders: encoders.map(({ encoder }) => encoder),
    tokenizers: encoders.map(({ tokenizer }) => tokenizer),
  };
}
