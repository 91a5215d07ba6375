import { join } from 'node:path';

import { DpmError } from '../base/errors.js';

/** Number of channels or tokens that two files of a pipeline tell, which have to agree. */
interface Agreement {
  /** File and field of the first. */
  readonly of: readonly [folder: string, file: string, field: string];
  readonly is: number;
  readonly expected: readonly number[];
  /** Where the expected number comes from. */
  readonly as: string;
}

function requireAgreement({ of: [folder, file, field], is, expected, as }: Agreement): void {
  if (expected.includes(is)) return;
  const numbers = expected.join(' or ');
  throw new DpmError('ERR_DPM_CONFIG', `${join(folder, file)}: ${field} is ${is}, it has to be ${numbers}, ${as}`);
}

/**
 * Requires that a text encoder takes what its tokenizer gives.
 *
 * @param folders - Folders of both.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the file and field.
 */
export function requireFittingTokens(
  folders: { readonly tokenizer: string; readonly encoder: string },
  {
    tokenizer,
    encoder,
  }: {
    readonly tokenizer: { readonly length: number; readonly vocabulary: number };
    readonly encoder: { readonly tokens: number; readonly vocabulary: number };
  },
): void {
  const config = join(folders.encoder, 'config.json');
  requireAgreement({
    of: [folders.tokenizer, 'tokenizer_config.json', 'model_max_length'],
    is: tokenizer.length,
    expected: [encoder.tokens],
    as: `as max_position_embeddings of ${config}`,
  });
  if (tokenizer.vocabulary <= encoder.vocabulary) return;
  throw new DpmError(
    'ERR_DPM_CONFIG',
    `${join(folders.tokenizer, 'vocab.json')} has ${tokenizer.vocabulary} tokens, vocab_size of ${config} is ${encoder.vocabulary}`,
  );
}

/**
 * Requires that a U-Net sees what the text encoders give, and that its states are the autoencoder's latents.
 *
 * @param path - Folder of the pipeline.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the file and field.
 */
export function requireFittingParts(
  path: string,
  parts: {
    readonly unet: { readonly contextWidth: number; readonly inChannels: number; readonly outChannels: number };
    readonly vae: { readonly latentChannels: number };
    readonly encoders: { readonly width: number };
  },
): void {
  const { unet, vae, encoders } = parts;
  const folder = join(path, 'unet');
  const latents = vae.latentChannels;
  const as = `as latent_channels of ${join(path, 'vae', 'config.json')} is ${latents}`;
  const config = 'config.json';
  requireAgreement({ of: [folder, config, 'out_channels'], is: unet.outChannels, expected: [latents], as });
  // Networks that fill in also see a mask and the latents of what is masked.
  const seen = [latents, 2 * latents + 1];
  requireAgreement({ of: [folder, config, 'in_channels'], is: unet.inChannels, expected: seen, as });
  requireAgreement({
    of: [folder, config, 'cross_attention_dim'],
    is: unet.contextWidth,
    expected: [encoders.width],
    as: 'the width of what the text encoders give',
  });
}
