import { basename, dirname, join } from 'node:path';

import { DpmError } from '../../../base/errors.js';
import { isThere } from '../../../files/files.js';
import type { Checkpoint } from '../../checkpoint.js';
import { openWeights } from '../../weight-files.js';
import { autoencoderWeights, readAutoencoder, type ReadAutoencoder } from '../autoencoder.js';
import { parseAutoencoderConfig } from '../autoencoder-config.js';
import { halfOf, originalTinyName } from './autoencoder-names.js';
import { tinyConfigOf } from './autoencoder-shapes.js';
import { boundWeights } from './bind.js';
import { autoencoderOf } from './components.js';
import { readGivenConfig } from './given-config.js';
import { pipelinePresets, type Preset } from './presets.js';
import { Shapes } from './shapes.js';
import { isSingleFile, requireNoFileOptions } from './unet-file.js';

/** What autoencoders have before their names: in a whole model, in some files of their own, and none. */
const prefixes = ['first_stage_model.', 'vae.', ''];

type Half = 'encoder' | 'decoder';

/** Weights of one half of a small autoencoder, which the original keeps in a file of its own. */
function boundHalf(required: ReadonlyMap<string, number[]>, half: Half, checkpoint: Checkpoint): Checkpoint {
  const own = new Map([...required].filter(([name]) => halfOf(name) === half));
  return boundWeights(own, { checkpoint, prefix: '', source: (name) => ({ key: originalTinyName(name) }) });
}

/** Reads the two files of a small autoencoder with the original's names. */
async function readTiny(paths: Readonly<Record<Half, string>>): Promise<ReadAutoencoder> {
  const encoder = (await openWeights(paths.encoder)).checkpoint;
  const decoder = (await openWeights(paths.decoder)).checkpoint;
  const source = `${paths.encoder}, ${paths.decoder}, by their tensors`;
  const config = parseAutoencoderConfig(tinyConfigOf(new Shapes(encoder, ''), new Shapes(decoder, '')), source);
  const required = autoencoderWeights(config.description);
  const [first, second] = [boundHalf(required, 'encoder', encoder), boundHalf(required, 'decoder', decoder)];
  const files = [...first.files, ...second.files];
  const behind = [...second.tensors].map(
    ([name, entry]) => [name, { ...entry, file: entry.file + first.files.length }] as const,
  );
  return { ...config, checkpoint: { files, tensors: new Map([...first.tensors, ...behind]) } };
}

/** Finds the two files of a small autoencoder by one of them. */
function halvesBy(path: string): Record<Half, string> | null {
  const [, before = '', half, after = ''] = /^(.*)(encoder|decoder)([^\\/]*)$/.exec(basename(path)) ?? [];
  if (half === undefined) return null;
  const named = (each: Half): string => join(dirname(path), `${before}${each}${after}`);
  return { encoder: named('encoder'), decoder: named('decoder') };
}

/** Finds the two files of a small autoencoder in a folder. */
async function halvesIn(folder: string): Promise<Record<Half, string> | null> {
  for (const name of ['taesd', 'taesdxl']) {
    for (const ending of ['.safetensors', '.pth']) {
      const encoder = join(folder, `${name}_encoder${ending}`);
      if (await isThere(encoder)) return { encoder, decoder: join(folder, `${name}_decoder${ending}`) };
    }
  }
  return null;
}

async function tinyBy(path: string): Promise<ReadAutoencoder> {
  const halves = halvesBy(path);
  const missing = halves === null ? undefined : Object.values(halves).find((each) => each !== path);
  if (halves !== null && missing !== undefined && (await isThere(missing))) return readTiny(halves);
  throw new DpmError(
    'ERR_DPM_FILE',
    `${path} holds one half of a small autoencoder: its other half has to lie beside it${missing === undefined ? ', with encoder or decoder in its name' : ` as ${missing}`}`,
  );
}

interface FactsOfFile {
  readonly preset: Preset;
  readonly folder: string | null;
}

async function factsBy(config: string | undefined, scale: number | undefined): Promise<FactsOfFile> {
  const given = config === undefined ? null : await readGivenConfig(config);
  const preset: Preset = given?.kind === 'preset' ? given.preset : pipelinePresets.sd1;
  const own = given?.kind === 'original' ? (given.config.scale ?? preset.scale) : preset.scale;
  return { preset: { ...preset, scale: scale ?? own }, folder: given?.kind === 'folder' ? given.path : null };
}

async function readFile(path: string, facts: FactsOfFile): Promise<ReadAutoencoder> {
  const { checkpoint } = await openWeights(path);
  const prefix = prefixes.find((each) => new Shapes(checkpoint, each).has('encoder.down'));
  if (prefix !== undefined) return autoencoderOf({ checkpoint, ...facts }, prefix);
  const { tensors } = checkpoint;
  if (tensors.has('1.weight') || tensors.has('1.conv.0.weight')) return tinyBy(path);
  const hint = tensors.has('encoder.down_blocks.0.resnets.0.conv1.weight')
    ? 'it has the names of diffusers: give the folder with its config.json'
    : "it has no tensor 'encoder.down.0.block.0.conv1.weight'";
  throw new DpmError('ERR_DPM_UNSUPPORTED', `${path} is no file of an autoencoder that is known: ${hint}`);
}

/**
 * Reads an autoencoder: a folder in diffusers' layout, a file with the original's names, alone or in a whole model, or one
 * of the two files of TAESD, or the folder of both.
 *
 * @param config - What the tensors of a file do not tell, as `config` of `TextToImage.load`.
 * @param scale - Factor of the latents, if no folder says it.
 * @throws {@link DpmError} naming the file and the wrong field or tensor.
 */
export async function readAutoencoderAt(path: string, config?: string, scale?: number): Promise<ReadAutoencoder> {
  if (await isSingleFile(path)) return readFile(path, await factsBy(config, scale));
  requireNoFileOptions(path, { config });
  const halves = (await isThere(join(path, 'config.json'))) ? null : await halvesIn(path);
  return halves === null ? readAutoencoder(path) : readTiny(halves);
}
