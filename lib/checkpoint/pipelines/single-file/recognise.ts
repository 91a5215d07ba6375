import { DpmError } from '../../../base/errors.js';
import type { Checkpoint } from '../../checkpoint.js';
import type { Architecture } from './presets.js';
import { Shapes } from './shapes.js';

/** What the tensors of a file say about the model. */
export interface Recognised {
  readonly architecture: Architecture;
  /** True if the U-Net sees a mask and the latents of the masked image. */
  readonly inpaints: boolean;
  /** What the U-Net's tensors have before their own names. */
  readonly unet: string;
  /** Tensor, or what its shape is, that told. */
  readonly evidence: string;
  /** Prediction that the file names by a tensor; null: it names none. */
  readonly prediction: 'v' | null;
  /** True if the last state is noise alone. */
  readonly zeroSnr: boolean;
}

/** Names of tensors that a kind of model alone has, and what that is. */
const refused: readonly (readonly [pattern: RegExp, kind: string])[] = [
  [/^edm_(mean|std)$/, 'Playground (edm_mean, edm_std)'],
  [/^edm_vpred\.sigma_max$/, 'CosXL (edm_vpred.sigma_max)'],
  [/^control_model\./, 'a ControlNet (control_model.*)'],
  [/^(model\.diffusion_model\.)?joint_blocks\./, 'Stable Diffusion 3 (joint_blocks.*)'],
  [/^(model\.diffusion_model\.)?double_blocks\./, 'Flux (double_blocks.*)'],
];

/** Prefixes of U-Nets: those of whole models, and none in a file of a U-Net alone. */
const unetPrefixes = ['model.diffusion_model.', ''];

function unsupported(path: string, what: string): DpmError {
  return new DpmError('ERR_DPM_UNSUPPORTED', `${path} is ${what}, which is not supported`);
}

function refuseOthers(path: string, names: Iterable<string>): void {
  for (const name of names) {
    const kind = refused.find(([pattern]) => pattern.test(name))?.[1];
    if (kind !== undefined) throw unsupported(path, kind);
  }
}

/** Width of the context that the first attention reads; undefined without one. */
export function contextWidthOf(checkpoint: Checkpoint, prefix: string): number | undefined {
  for (const [name, { shape }] of checkpoint.tensors) {
    if (name.startsWith(prefix) && name.endsWith('.attn2.to_k.weight')) return shape[1];
  }
  return undefined;
}

/** Finds the kind of model by its text encoders or, in a file of a U-Net alone, by what that sees. */
function architectureOf(checkpoint: Checkpoint, unet: string): readonly [Architecture, string] | null {
  const all = new Shapes(checkpoint, '');
  if (all.has('conditioner.embedders.1.model')) return ['sdxl', 'conditioner.embedders.1.model.*'];
  if (all.has('conditioner.embedders.0.model')) return ['sdxl-refiner', 'conditioner.embedders.0.model.*'];
  if (all.has('cond_stage_model.model')) return ['sd2', 'cond_stage_model.model.*'];
  const context = contextWidthOf(checkpoint, unet);
  // Text encoders of SD 2 have other names in some files, but its networks see no other width.
  if (context === 1024) return ['sd2', 'attn2.to_k of 1024'];
  if (all.has('cond_stage_model.transformer')) return ['sd1', 'cond_stage_model.transformer.*'];
  const added = checkpoint.tensors.get(`${unet}label_emb.0.0.weight`)?.shape[1];
  if (added === 2816) return ['sdxl', 'label_emb of 2816'];
  if (added === 2560) return ['sdxl-refiner', 'label_emb of 2560'];
  return context === 768 ? ['sd1', 'attn2.to_k of 768'] : null;
}

/**
 * Recognises the model of a single file by the names and shapes of its tensors.
 *
 * @param assumed - Architecture that a configuration says, for networks that are no public ones.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming what it is, or what it is not.
 */
export function recognise(path: string, checkpoint: Checkpoint, assumed: Architecture | null): Recognised {
  const { tensors } = checkpoint;
  refuseOthers(path, tensors.keys());
  const unet = unetPrefixes.find((prefix) => tensors.has(`${prefix}input_blocks.0.0.weight`));
  const input = tensors.get(`${unet ?? ''}input_blocks.0.0.weight`)?.shape[1];
  if (unet === undefined || input === undefined) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${path} is no file of Stable Diffusion 1, 2 or SDXL that is known: it has no tensor 'model.diffusion_model.input_blocks.0.0.weight'`,
    );
  }
  if (tensors.has(`${unet}label_emb.weight`)) throw unsupported(path, 'the x4 upscaler (label_emb.weight)');
  if (input !== 4 && input !== 9) throw unsupported(path, `a U-Net of ${input} input channels, not of 4 or 9`);
  const found = architectureOf(checkpoint, unet);
  const [architecture, evidence] = found ?? [assumed, 'config'];
  if (architecture === null) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${path} is no public model of Stable Diffusion 1, 2 or SDXL, whose U-Nets see a context of 768, 1024, 1280 or 2048: say what it is by config`,
    );
  }
  return {
    architecture,
    inpaints: input === 9,
    unet,
    evidence,
    prediction: tensors.has('v_pred') ? 'v' : null,
    zeroSnr: tensors.has('ztsnr'),
  };
}
