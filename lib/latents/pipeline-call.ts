import { throwIfAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, requireKind, type OptionKinds } from '../base/option-kinds.js';
import type { ImageShape } from '../images/layout.js';
import type { Autoencoder } from './autoencoder.js';
import { callProgram, type BegunProgram } from './call-program.js';
import type { ConditionalUNet } from './conditional-unet.js';
import { generateKinds, texts, type GenerateOptions } from './generate-options.js';
import type { LoadedPipeline } from './load-pipeline.js';
import { beginWithPicture, requireFittingNetwork, type PictureStart } from './picture-start.js';
import { promptedHead } from './prompted-head.js';
import { requireKnownTimes } from './prompted-controls.js';
import { resolveCall, type CallDefaults, type GenerateCall } from './resolve-call.js';

/** What calls of a pipeline are completed and begun with. */
export interface CallParts extends Pick<LoadedPipeline, 'defaults' | 'vae' | 'schedule' | 'gamma' | 'preview'> {
  readonly unet: ConditionalUNet;
}

/** Who calls, and how. */
export interface Caller {
  /** Name of the call, for messages. */
  readonly who: string;
  /** True if all images are kept until the last is done. */
  readonly isKept: boolean;
  readonly kinds?: OptionKinds<GenerateOptions>;
}

/** Lists what a call leaves to its pipeline. */
export function callDefaults({ defaults, vae, unet }: Pick<CallParts, 'defaults' | 'vae' | 'unet'>): CallDefaults {
  const { factor, latentChannels, imageChannels } = vae;
  const { guidance, steps, seesScore } = defaults;
  const { controlNets, sampleSize } = unet;
  return { guidance, steps, seesScore, side: sampleSize * factor, factor, latentChannels, imageChannels, controlNets };
}

/**
 * Checks and completes the options of a call, which then no longer depends on the caller's arrays.
 *
 * @throws {@link DpmError} naming the wrong option; `ERR_DPM_ABORTED` if aborted.
 */
export function completeCall(
  parts: CallParts,
  options: GenerateOptions,
  { who, isKept, kinds = generateKinds }: Caller,
): GenerateCall {
  const { vae, unet, preview } = parts;
  checkOptions(who, options, kinds);
  requireKind('prompt', options.prompt, texts);
  const call = resolveCall(options, callDefaults(parts), isKept);
  requireFittingNetwork(unet, vae.latentChannels, call.picture);
  throwIfAborted(call.signal);
  if (call.onPreview !== undefined) previewDecoder({ vae, preview });
  return call;
}

/** Makes the program of a call. @throws {@link DpmError} where the sampler or the network does not fit. */
export function programOfCall({ schedule, gamma, unet }: CallParts, call: GenerateCall): BegunProgram {
  const begun = callProgram(call, schedule, gamma);
  // A head that is not there is told at the call, before texts are encoded.
  promptedHead(unet, schedule, begun.program.head);
  requireKnownTimes(call, begun.whole);
  return begun;
}

/** Makes the states that a run begins with, if they are not the noise of its seeds, and what goes along with a picture. */
export async function beginningOf(
  { vae, schedule, unet }: CallParts,
  call: GenerateCall,
  { program, start }: Pick<BegunProgram, 'program' | 'start'>,
): Promise<Partial<PictureStart>> {
  const { initialScale } = program;
  if (call.picture === null || start === null) {
    return call.init === undefined ? {} : { init: call.init.map((value) => value * initialScale) };
  }
  return beginWithPicture(call, call.picture, { vae, unet, schedule, start, initialScale });
}

/** Gives the small autoencoder. @throws {@link DpmError} `ERR_DPM_ARGUMENT` if there is none. */
export function previewDecoder({ preview, vae }: Pick<CallParts, 'preview' | 'vae'>): Autoencoder {
  if (preview !== null) return preview;
  if (vae.isSmall) return vae;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    'onPreview needs a small autoencoder: load the pipeline with the folder of one (TAESD) as preview',
  );
}

/** Shape of the images of a call. */
export function shapeOfImages({ factor, imageChannels }: Autoencoder, call: GenerateCall, count: number): ImageShape {
  return [count, imageChannels, call.height * factor, call.width * factor];
}

/** Decodes latents of a call. */
export async function decodeLatents(
  vae: Autoencoder,
  latents: Float32Array,
  call: GenerateCall,
): Promise<{ data: Float32Array; tile: number | null }> {
  const [, , height, width] = shapeOfImages(vae, call, 1);
  const tile = call.tile ?? (await vae.tileFor({ height, width })) ?? undefined;
  const data = await vae.decode(vae.fromDiffusion(latents), { height, width, tile, signal: call.signal });
  return { data, tile: tile ?? null };
}
