import type { AutoencoderDescription } from '../../../network/autoencoder.js';

type Renames = readonly (readonly [pattern: RegExp, replacement: string])[];

const renames: Renames = [
  [/\.resnets\.(\d+)\./, '.block.$1.'],
  [/\.conv_shortcut\./, '.nin_shortcut.'],
  [/\.downsamplers\.0\./, '.downsample.'],
  [/\.upsamplers\.0\./, '.upsample.'],
  [/\.conv_norm_out\./, '.norm_out.'],
  [/\.down_blocks\./, '.down.'],
  [/\.mid_block\.block\.0\./, '.mid.block_1.'],
  [/\.mid_block\.block\.1\./, '.mid.block_2.'],
  [/\.mid_block\.attentions\.0\./, '.mid.attn_1.'],
  [/\.attn_1\.group_norm\./, '.attn_1.norm.'],
  [/\.attn_1\.to_([qkv])\./, '.attn_1.$1.'],
  [/\.attn_1\.to_out\.0\./, '.attn_1.proj_out.'],
];

/** Finds the original's name of a weight of an `AutoencoderKL`, without what files put before it. */
export function originalAutoencoderName(levels: number, name: string): string {
  // The original counts the decoder's levels from the image.
  const counted = name.replace(/\.up_blocks\.(\d+)\./, (_, block: string) => `.up.${levels - 1 - Number(block)}.`);
  return renames.reduce((current, [pattern, replacement]) => current.replace(pattern, replacement), counted);
}

/** Finds the name of a weight of an `AutoencoderTiny` in the original's file of its half. */
export function originalTinyName(name: string): string {
  // The decoder's first module is one without weights, which diffusers has no layer for.
  return name
    .replace(/^decoder\.layers\.(\d+)\./, (_, layer: string) => `${Number(layer) + 1}.`)
    .replace(/^encoder\.layers\./, '');
}

/** Half of a small autoencoder that a weight belongs to. */
export function halfOf(name: string): 'encoder' | 'decoder' {
  return name.startsWith('encoder.') ? 'encoder' : 'decoder';
}

/** Number of levels of an autoencoder. */
export function levelsOf(description: AutoencoderDescription): number {
  return description.kind === 'kl' ? description.channels.length : description.decoder.blocks.length;
}
