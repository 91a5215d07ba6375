import { join } from 'node:path';

import { DpmError } from '../base/errors.js';

/** Number of channels or tokens that two files of a pipeline tell, which have to agree. */
interface Agreement {
  /** File and field of the first. */
  readonly of: readonly [file: string, field: string];
  readonly is: number;
  readonly expected: readonly number[];
  /** Where the expected number comes from. */
  readonly as: string;
}

function requireAgreement({ of: [file, field], is, expected, as }: Agreement): void {
  if (expected.includes(is)) return;
  const numbers = expected.join(' or ');
  throw new DpmError('ERR_DPM_CONFIG', `${file}: ${field} is ${is}, it has to be ${numbers}, ${as}`);
}

/**
 * Requires that a text encoder takes what its tokenizer gives.
 *
 * @param names - Configuration of the encoder and folder of the tokenizer, for messages.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the file and field.
 */
export function requireFittingTokens(
  names: { readonly tokenizer: string; readonly encoder: string },
  {
    tokenizer,
    encoder,
  }: {
    readonly tokenizer: { readonly length: number; readonly vocabulary: number };
    readonly encoder: { readonly tokens: number; readonly vocabulary: number };
  },
): void {
  const config = names.encoder;
  requireAgreement({
    of: [join(names.tokenizer, 'tokenizer_config.json'), 'model_max_length'],
    is: tokenizer.length,
    expected: [encoder.tokens],
    as: `as max_position_embeddings of ${config}`,
  });
  if (tokenizer.vocabulary <= encoder.vocabulary) return;
  throw new DpmError(
    'ERR_DPM_CONFIG',
    `${join(names.tokenizer, 'vocab.json')} has ${tokenizer.vocabulary} tokens, vocab_size of ${config} is ${encoder.vocabulary}`,
  );
}

/**
 * Requires that a U-Net sees what the text encoders give, and that its states are the autoencoder's latents.
 *
 * @param names - Configurations or files of both, for messages.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the file and field.
 */
export function requireFittingParts(
  names: { readonly unet: string; readonly vae: string },
  parts: {
    readonly unet: { readonly contextWidth: number; readonly inChannels: number; readonly outChannels: number };
    readonly vae: { readonly latentChannels: number };
    readonly encoders: { readonly width: number };
  },
): void {
  const { unet, vae, encoders } = parts;
  const latents = vae.latentChannels;
  const as = `as latent_channels of ${names.vae} is ${latents}`;
  requireAgreement({ of: [names.unet, 'out_channels'], is: unet.outChannels, expected: [latents], as });
  // Networks that fill in also see a mask and the latents of what is masked.
  const seen = [latents, 2 * latents + 1];
  requireAgreement({ of: [names.unet, 'in_channels'], is: unet.inChannels, expected: seen, as });
  requireAgreement({
    of: [names.unet, 'cross_attention_dim'],
    is: unet.contextWidth,
    expected: [encoders.width],
    as: 'the width of what the text encoders give',
  });
}
