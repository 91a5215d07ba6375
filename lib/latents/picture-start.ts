// What a call that begins with a picture begins with: its latents with the noise of a later level, and what a mask keeps of it.
import { at, sideBySide } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { INITIAL_RECORD } from '../base/random.js';
import { normals, sampleStreams } from '../engine/normals.js';
import type { NoiseStream } from '../engine/update.js';
import type { Constraint } from '../guidance/guide.js';
import { keepParts } from '../guidance/keep-parts.js';
import { requireInit } from '../run/resolve.js';
import { noised, type Amplitudes } from '../schedule/noise-level.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { Autoencoder } from './autoencoder.js';
import type { ConditionalUNet } from './conditional-unet.js';
import type { GenerateCall, StartingPicture } from './resolve-call.js';

/** Draws of latents around an encoder's means in the random stream of a sample: of the picture, and of what is kept of it. */
const LATENT_DRAW = 6;
const KEPT_DRAW = 7;

/** Where a run with a picture begins. */
export interface PictureStart {
  /** States [count, C, h, w]. */
  readonly init: Float32Array;
  /** Keeps what is not drawn anew; absent without a mask, and for networks that see the mask. */
  readonly constrain?: Constraint;
  /** Maps [count, 1 + C, h, w] that the network sees behind the states: the mask, and latents of what is kept. */
  readonly beside?: Float32Array;
}

/** What a picture is brought to a run with. */
export interface PictureRun {
  readonly vae: Autoencoder;
  readonly schedule: NoiseSchedule;
  /** Amplitudes of picture and noise in the states that the run begins with. */
  readonly start: Amplitudes;
  /** Standard deviation of states of noise alone. */
  readonly initialScale: number;
  readonly unet: Channels;
}

type Channels = Pick<ConditionalUNet, 'inChannels' | 'outChannels'>;

/** Tells whether a U-Net fills parts of pictures: behind a state it sees a mask and the latents of the rest. */
function seesMask({ inChannels, outChannels }: Channels, latentChannels: number): boolean {
  return outChannels === latentChannels && inChannels === 2 * latentChannels + 1;
}

/**
 * Checks that a U-Net draws what is asked for.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a network of other channels, `ERR_DPM_ARGUMENT` if one that fills parts of
 * pictures gets none.
 */
export function requireFittingNetwork(unet: Channels, latentChannels: number, picture: StartingPicture | null): void {
  if (seesMask(unet, latentChannels)) {
    if (picture?.isEncoded === false && picture.mask !== null) return;
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      'the network fills parts of pictures: give image, a batch of pictures and not latents, and mask',
    );
  }
  if (unet.inChannels === latentChannels && unet.outChannels === latentChannels) return;
  throw new DpmError(
    'ERR_DPM_UNSUPPORTED',
    `the network takes ${unet.inChannels} channels and the latents have ${latentChannels}: it draws no images of a text alone`,
  );
}

/** Repeats the values of one picture for all images. */
function repeated(values: Float32Array, count: number, elements: number): Float32Array {
  if (values.length === count * elements) return values;
  return Float32Array.from({ length: count * elements }, (_, i) => at(values, i % elements));
}

/** Latents of a call, one after the other: its noise and what its pictures become. */
class Latents {
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly #elements: number;

  constructor(
    readonly vae: Autoencoder,
    readonly call: GenerateCall,
  ) {
    this.shape = [vae.latentChannels, call.height, call.width];
    this.#elements = vae.latentChannels * call.height * call.width;
  }

  /** Unit noise of one draw of all samples. */
  noise(draw: number): Promise<Float32Array> {
    const { count, seed, seeds, first = 0 } = this.call;
    const one = { record: INITIAL_RECORD, draw };
    const streams: NoiseStream[] =
      seeds === undefined
        ? sampleStreams(count, { seed, firstSample: first, ...one })
        : seeds.map((own) => ({ seed: own, sampleIndex: first, ...one }));
    return normals(this.vae.device, this.shape, streams);
  }

  /** The noise that the call begins with. */
  initial(): Promise<Float32Array> {
    const { init, count } = this.call;
    requireInit({ init }, count, this.shape);
    return init === undefined ? this.noise(0) : Promise.resolve(init);
  }

  /** Latents of the pictures of the call, for every sample. */
  async ofPicture({ values, isEncoded }: StartingPicture): Promise<Float32Array> {
    return isEncoded ? repeated(values, this.call.count, this.#elements) : this.encoded(values, LATENT_DRAW);
  }

  /**
   * Encodes pictures [1 or N, C, H, W], and draws latents of every sample around the means of the encoder.
   *
   * @param draw - Draw of the samples' streams; null: the means themselves.
   */
  async encoded(images: Float32Array, draw: number | null): Promise<Float32Array> {
    const { vae } = this;
    const elements = this.#elements;
    const { height, width, count, tile, signal } = this.call;
    const sides = { height: height * vae.factor, width: width * vae.factor };
    const parts = tile ?? (await vae.tileFor(sides)) ?? undefined;
    const moments = await vae.encode(images, { ...sides, tile: parts, signal });
    const mean = repeated(moments.mean, count, elements);
    if (moments.logVariance === null || draw === null) return vae.toDiffusion(mean);
    const [logVariance, noise] = [repeated(moments.logVariance, count, elements), await this.noise(draw)];
    return vae.toDiffusion(mean.map((value, i) => value + Math.exp(at(logVariance, i) / 2) * at(noise, i)));
  }
}

/** Encodes the pictures of a call for every sample, each as the mean of its latents. */
export async function meansOfPicture(vae: Autoencoder, call: GenerateCall): Promise<Float32Array> {
  const { picture } = call;
  if (picture === null) throw new DpmError('ERR_DPM_INTERNAL', 'a call has no picture');
  const made = new Latents(vae, call);
  return picture.isEncoded ? made.ofPicture(picture) : made.encoded(picture.values, null);
}

/** Makes a mask of latents, [count, h, w], from one of pixels: the first pixel of each counts, as in diffusers. */
function maskOfLatents(mask: Float32Array, { count, height, width }: GenerateCall, factor: number): Float32Array {
  const [pixels, row] = [height * width * factor * factor, width * factor];
  const masks = mask.length / pixels;
  return Float32Array.from({ length: count * height * width }, (_, i) => {
    const [x, y, image] = [i % width, Math.floor(i / width) % height, Math.floor(i / (width * height))];
    return at(mask, (image % masks) * pixels + y * factor * row + x * factor);
  });
}

/** Leaves out of pictures, of which there is one for all masks or one each, what is drawn anew. */
function keptPixels(images: Float32Array, mask: Float32Array, pixels: number, channels: number): Float32Array {
  const elements = channels * pixels;
  const count = Math.max(images.length / elements, mask.length / pixels);
  return Float32Array.from({ length: count * elements }, (_, i) => {
    const isNew = at(mask, (Math.floor(i / elements) * pixels + (i % pixels)) % mask.length) === 1;
    return isNew ? 0 : at(images, i % images.length);
  });
}

/**
 * Makes what a run begins with: states alpha z + sigma e of the latents z of its pictures, which are drawn as the encoder says,
 * and the unit noise e that it would otherwise begin with (Meng et al. 2022, SDEdit); noise alone where a mask lets parts change
 * and all steps are taken, as in diffusers; latents that have noise already as they are.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_ARGUMENT` for noise of another number of images or that is not
 * finite, `ERR_DPM_ABORTED` if aborted.
 */
export async function beginWithPicture(
  call: GenerateCall,
  picture: StartingPicture,
  { vae, unet, schedule, start, initialScale }: PictureRun,
): Promise<PictureStart> {
  const { values, strength, mask } = picture;
  const made = new Latents(vae, call);
  if (strength === null) return { init: await made.ofPicture(picture) };
  const noise = await made.initial();
  const withNoise = async (): Promise<Float32Array> => noised(await made.ofPicture(picture), noise, start);
  if (mask === null) return { init: await withNoise() };
  const alone = strength === 1 ? noise.map((value) => value * initialScale) : null;
  const masked = maskOfLatents(mask, call, vae.factor);
  if (seesMask(unet, vae.latentChannels)) {
    const init = alone ?? (await withNoise());
    const pixels = call.height * call.width * vae.factor ** 2;
    const kept = await made.encoded(keptPixels(values, mask, pixels, vae.imageChannels), KEPT_DRAW);
    return { init, beside: sideBySide(call.count, [masked, kept]) };
  }
  const latents = await made.ofPicture(picture);
  const init = alone ?? noised(latents, noise, start);
  const kept = masked.map((isNew) => 1 - isNew);
  return { init, constrain: keepParts({ schedule, sampleShape: made.shape }, latents, kept)(noise) };
}
