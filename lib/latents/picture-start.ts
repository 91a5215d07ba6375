// What a picture leaves of a run's beginning: its latents with the noise of a later level, in place of noise alone.
import { at } from '../base/arrays.js';
import { INITIAL_RECORD } from '../base/random.js';
import { normals, sampleStreams } from '../engine/normals.js';
import type { NoiseStream } from '../engine/update.js';
import { requireInit } from '../run/resolve.js';
import { noised, type Amplitudes } from '../schedule/noise-level.js';
import type { Autoencoder, EncodedImages } from './autoencoder.js';
import type { GenerateCall, StartingPicture } from './generate-options.js';

/** Draw of the latents around an encoder's means in the random stream of a sample. */
const LATENT_DRAW = 6;

type Streams = Pick<GenerateCall, 'count' | 'seed' | 'seeds' | 'first'>;

function streamsOf({ count, seed, seeds, first = 0 }: Streams, draw: number): NoiseStream[] {
  const one = { record: INITIAL_RECORD, draw };
  return seeds === undefined
    ? sampleStreams(count, { seed, firstSample: first, ...one })
    : seeds.map((own) => ({ seed: own, sampleIndex: first, ...one }));
}

/** Repeats the latents of one picture for all images. */
function forEach(latents: Float32Array, count: number, elements: number): Float32Array {
  if (latents.length === count * elements) return latents;
  return Float32Array.from({ length: count * elements }, (_, i) => at(latents, i % elements));
}

/** Draws latents around the means of an encoder, if it has deviations. */
async function drawnLatents(
  { mean, logVariance }: EncodedImages,
  normal: () => Promise<Float32Array>,
): Promise<Float32Array> {
  if (logVariance === null) return mean;
  const noise = await normal();
  return mean.map((value, i) => value + Math.exp(at(logVariance, i) / 2) * at(noise, i));
}

/**
 * Makes the states [count, C, h, w] that a call begins with: alpha z + sigma e of the latents z of its pictures, which are drawn as
 * the encoder says, and the unit noise e that it would otherwise begin with (Meng et al. 2022, SDEdit).
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_ARGUMENT` for noise of another number of images or that is not
 * finite, `ERR_DPM_ABORTED` if aborted.
 */
export async function pictureStates(
  vae: Autoencoder,
  call: GenerateCall,
  { values, isEncoded }: StartingPicture,
  start: Amplitudes,
): Promise<Float32Array> {
  const { count, height, width, tile, signal, init } = call;
  const shape = [vae.latentChannels, height, width];
  requireInit({ init }, count, shape);
  const elements = vae.latentChannels * height * width;
  const normal = (draw: number): Promise<Float32Array> => normals(vae.device, shape, streamsOf(call, draw));
  let latents = values;
  if (!isEncoded) {
    const sides = { height: height * vae.factor, width: width * vae.factor };
    const whole = { ...sides, tile: tile ?? (await vae.tileFor(sides)) ?? undefined, signal };
    const { mean, logVariance } = await vae.encode(values, whole);
    const all = {
      mean: forEach(mean, count, elements),
      logVariance: logVariance && forEach(logVariance, count, elements),
    };
    latents = vae.toDiffusion(await drawnLatents(all, () => normal(LATENT_DRAW)));
  }
  return noised(forEach(latents, count, elements), init ?? (await normal(0)), start);
}
