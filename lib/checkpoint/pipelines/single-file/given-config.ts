import { stat } from 'node:fs/promises';
import { extname } from 'node:path';

import { DpmError } from '../../../base/errors.js';
import { readOriginalConfig, type OriginalConfig } from './original-config.js';
import { pipelinePresets, type PipelinePresetName, type Preset } from './presets.js';

/** What a call says about a file beyond its tensors. */
export type GivenConfig =
  | { readonly kind: 'preset'; readonly name: string; readonly preset: Preset }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'original'; readonly config: OriginalConfig };

function isPresetName(name: string): name is PipelinePresetName {
  return Object.hasOwn(pipelinePresets, name);
}

/**
 * Finds what `config` names: a preset, a folder in diffusers' layout, or the original's configuration.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` listing the presets, or the errors of the original's configuration.
 */
export async function readGivenConfig(name: string): Promise<GivenConfig> {
  if (isPresetName(name)) return { kind: 'preset', name, preset: pipelinePresets[name] };
  const found = await stat(name).catch(() => null);
  if (found?.isDirectory() === true) return { kind: 'folder', path: name };
  if (found !== null && ['.yaml', '.yml'].includes(extname(name))) {
    return { kind: 'original', config: await readOriginalConfig(name) };
  }
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `config '${name.slice(0, 200)}' is neither a folder, nor a .yaml of the original's, nor a preset; presets: ${Object.keys(pipelinePresets).join(', ')}`,
  );
}
