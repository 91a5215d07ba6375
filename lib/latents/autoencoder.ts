import { throwIfAborted } from '../base/abort.js';
import { partOfEach } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { memoryThereIs } from '../base/memory-budget.js';
import { checkOptions, kinds, type OptionKinds, requireKind } from '../base/option-kinds.js';
import type { OpenedDevice } from '../checkpoint/load-network.js';
import type { ReadAutoencoder } from '../checkpoint/pipelines/autoencoder.js';
import { readAutoencoderAt } from '../checkpoint/pipelines/single-file/autoencoder-file.js';
import { type AutoencoderHalf, autoencoderGraph, latentFactor } from '../network/autoencoder.js';
import { LatentNetwork } from './latent-network.js';
import { latentFileKinds, type LatentFileOptions, readAndOpen } from './load-options.js';
import { MOST_IDLE, type NetworkBytes } from './sized-networks.js';
import { emptyMaps, inTiles, type Maps, tileSizes } from './tiles.js';

/** Options of {@link Autoencoder.decode} and {@link Autoencoder.encode}. */
export interface AutoencoderCallOptions {
  /** Height of the images in pixels, a multiple of {@link Autoencoder.factor}. */
  height: number;
  /** Width of the images in pixels, a multiple of {@link Autoencoder.factor}. */
  width: number;
  /**
   * Side of tiles in latents, a multiple of 4: larger latents are computed tile by tile, with the memory of one, and
   * blended where these overlap. The result then differs from that of the whole, whose norms see all of it. Default:
   * the whole.
   */
  tile?: number | undefined;
  /** Signal that aborts before the next image or tile. */
  signal?: AbortSignal | undefined;
}

/** Size of images, for {@link Autoencoder.bytesFor}. */
export interface AutoencoderSize {
  /** Height of the images in pixels, a multiple of {@link Autoencoder.factor}. */
  height: number;
  /** Width of the images in pixels, a multiple of {@link Autoencoder.factor}. */
  width: number;
  /** Side of tiles in latents, a multiple of 4. Default: the whole. */
  tile?: number | undefined;
  /** Number of images. Default 1. */
  batch?: number | undefined;
}

const callKinds: OptionKinds<AutoencoderCallOptions> = {
  height: kinds.positiveInteger,
  width: kinds.positiveInteger,
  tile: kinds.positiveInteger,
  signal: kinds.signal,
};

const sizeKinds: OptionKinds<AutoencoderSize> = {
  height: kinds.positiveInteger,
  width: kinds.positiveInteger,
  tile: kinds.positiveInteger,
  batch: kinds.positiveInteger,
};

/** Latents of images: normal variables of these means and variances. */
export interface EncodedImages {
  /** Means [N, latent channels, h, w]. */
  readonly mean: Float32Array;
  /** Logarithms of the variances, from -30 to 20, of the same shape; null for an autoencoder without. */
  readonly logVariance: Float32Array | null;
}

/** Bytes of maps that the images of one evaluation may have: larger images are computed one by one. */
const MOST_MAP_BYTES = 2 ** 28;

/** Side of tiles in latents where memory asks for them. */
const AUTOMATIC_TILE = 64;

/** Largest side of an image in pixels. @internal */
export const LARGEST_SIDE = 16_384;

const named = { who: 'Autoencoder.load', what: 'autoencoder' };

/**
 * Autoencoder of latent diffusion models: images to latents and back. Its graphs are made for each size of images when it is
 * first needed, and share the weights. Close it when done.
 */
export class Autoencoder extends LatentNetwork {
  /** Number of times that an image is larger than its latents, on either axis. */
  readonly factor: number;
  /** Number of channels of the latents. */
  readonly latentChannels: number;
  /** Number of channels of the images. */
  readonly imageChannels: number;
  readonly #read: ReadAutoencoder;

  private constructor(opened: OpenedDevice, read: ReadAutoencoder) {
    super({
      what: named.what,
      opened,
      checkpoint: read.checkpoint,
      network: ({ part, ...sides }) => ({
        graph: autoencoderGraph(read.description, part === 'encoder' ? 'encoder' : 'decoder', sides),
      }),
    });
    this.#read = read;
    this.factor = latentFactor(read.description);
    this.latentChannels = read.description.latentChannels;
    this.imageChannels = read.description.outChannels;
  }

  /**
   * Loads an autoencoder.
   *
   * @param path - Path or file URL of a folder in diffusers' layout with the `config.json` and weights of an
   * `AutoencoderKL` or `AutoencoderTiny`: `vae/` of a pipeline; of a file with the original's names, alone or of a whole
   * model; or of TAESD's two files, of which one is named, or their folder. A lone file's latents are scaled as those of
   * Stable Diffusion 1 and 2, if `config` says nothing else.
   * @throws {@link DpmError} naming the wrong file, tensor, field or device; `ERR_DPM_ABORTED` if aborted.
   *
   * @example
   * ```ts
   * await using vae = await Autoencoder.load('stable-diffusion-v1-5/vae', { device: 'cpu' });
   * const { mean } = await vae.encode(images, { height: 512, width: 512 });
   * ```
   */
  static async load(path: string | URL, options: LatentFileOptions = {}): Promise<Autoencoder> {
    checkOptions(named.who, options, latentFileKinds);
    const { config, ...others } = options;
    const { opened, read } = await readAndOpen(named, path, others, (found) => readAutoencoderAt(found, config));
    return new Autoencoder(opened, read);
  }

  /** Makes an autoencoder that has been read. @internal */
  static on(opened: OpenedDevice, read: ReadAutoencoder): Autoencoder {
    return new Autoencoder(opened, read);
  }

  /**
   * Computes images from latents.
   *
   * @param latents - [N, latent channels, height / factor, width / factor], row-major, as the decoder takes them
   * ({@link Autoencoder.fromDiffusion}).
   * @returns Images [N, image channels, height, width], in about [-1, 1].
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_ARGUMENT` if an argument does not fit;
   * `ERR_DPM_ABORTED` if aborted.
   */
  async decode(latents: Float32Array, options: AutoencoderCallOptions): Promise<Float32Array> {
    const { sides, ...call } = this.#checked('decode', options);
    const input = this.#given('latents', latents, this.latentChannels, {
      height: sides.height / this.factor,
      width: sides.width / this.factor,
    });
    return (await this.#compute('decoder', input, call)).data;
  }

  /**
   * Computes the latents of images.
   *
   * @param images - [N, channels, height, width], row-major, in [-1, 1].
   * @returns Means and variances as the decoder takes latents ({@link Autoencoder.toDiffusion}).
   * @throws {@link DpmError} as {@link Autoencoder.decode}.
   */
  async encode(images: Float32Array, options: AutoencoderCallOptions): Promise<EncodedImages> {
    const { sides, ...call } = this.#checked('encode', options);
    const input = this.#given('images', images, this.#read.description.inChannels, sides);
    const maps = await this.#compute('encoder', input, call);
    if (this.#read.description.kind === 'tiny') return { mean: maps.data, logVariance: null };
    return splitMoments(maps);
  }

  /** Gives the latents that a diffusion model knows: scaled to a variance of about 1. */
  toDiffusion(latents: Float32Array): Float32Array {
    requireKind('latents', latents, kinds.floats);
    const { scale, shift } = this.#read.latents;
    return latents.map((z) => (z - shift) * scale);
  }

  /** Gives the latents that the decoder takes, from those of a diffusion model. */
  fromDiffusion(latents: Float32Array): Float32Array {
    requireKind('latents', latents, kinds.floats);
    const { scale, shift } = this.#read.latents;
    return latents.map((z) => z / scale + shift);
  }

  /** True for an autoencoder that is small enough for previews (TAESD). */
  get isSmall(): boolean {
    return this.#read.description.kind === 'tiny';
  }

  /**
   * Tells how images have to be decoded in the memory there is.
   *
   * @returns Side of the tiles in latents; null: the whole takes no more than a quarter of the memory.
   */
  async tileFor(sides: { height: number; width: number }): Promise<number | null> {
    const { height, width } = this.#checked('tileFor', sides).sides;
    const bytes = await this.networks.using(
      { part: 'decoder', height: height / this.factor, width: width / this.factor },
      (network) => Promise.resolve(network.info.rowBytes),
    );
    return bytes <= memoryThereIs() / 4 ? null : AUTOMATIC_TILE;
  }

  /**
   * Computes what decoding takes in memory: the packed weights and the maps, of tiles those of their sizes. Loads the
   * decoder for these sizes.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
   */
  async bytesFor(options: AutoencoderSize): Promise<number> {
    checkOptions('bytesFor', options, sizeKinds);
    const { batch = 1, ...call } = options;
    const { sides, tile } = this.#checked('bytesFor', call);
    const latents = { height: sides.height / this.factor, width: sides.width / this.factor };
    const all: NetworkBytes[] = [];
    for (const size of tileSizes(latents, tile ?? Infinity)) {
      const bytes = await this.networks.bytesFor({ part: 'decoder', ...size }, (row) => rowsAtOnce(batch, row));
      all.push(bytes);
    }
    // Networks of other sizes keep their maps while one is at work.
    const maps = all.map((each) => each.maps).toSorted((a, b) => b - a);
    return maps.slice(0, MOST_IDLE + 1).reduce((sum, bytes) => sum + bytes, all.at(-1)?.weights ?? 0);
  }

  #checked(
    what: string,
    options: AutoencoderCallOptions,
  ): { sides: { height: number; width: number }; tile: number | undefined; signal: AbortSignal | undefined } {
    checkOptions(what, options, callKinds);
    const { height, width, tile, signal } = options;
    for (const [name, side] of Object.entries({ height, width })) {
      if (side % this.factor === 0 && side <= LARGEST_SIDE) continue;
      throw wrongValue(name, side, `a multiple of ${this.factor}, at most ${LARGEST_SIDE}`);
    }
    if (tile !== undefined && tile % 4 !== 0) throw wrongValue('tile', tile, 'a multiple of 4');
    throwIfAborted(signal);
    return { sides: { height, width }, tile, signal };
  }

  /** Copies the maps of a call, which may last longer than the caller leaves them as they are. */
  #given(name: string, data: Float32Array, channels: number, sides: { height: number; width: number }): Maps {
    requireKind(name, data, kinds.floats);
    const elements = channels * sides.height * sides.width;
    const batch = data.length / elements;
    if (!Number.isInteger(batch) || batch < 1) {
      throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${name} have ${data.length} elements, one has ${elements}`);
    }
    return { batch, channels, ...sides, data: data.slice() };
  }

  async #compute(
    half: AutoencoderHalf,
    input: Maps,
    { tile, signal }: { tile: number | undefined; signal: AbortSignal | undefined },
  ): Promise<Maps> {
    const factor = half === 'decoder' ? this.factor : 1 / this.factor;
    const side = (tile ?? Infinity) * (half === 'decoder' ? 1 : this.factor);
    const whole = (maps: Maps): Promise<Maps> => this.#evaluate(half, maps, factor, signal);
    if (input.height <= side && input.width <= side) return whole(input);
    return inTiles(input, { side, factor }, whole);
  }

  async #evaluate(half: AutoencoderHalf, input: Maps, factor: number, signal: AbortSignal | undefined): Promise<Maps> {
    const { batch, height, width } = input;
    throwIfAborted(signal);
    return this.networks.using({ part: half, height, width }, async (network) => {
      const result = emptyMaps(batch, this.#outputChannels(half), height * factor, width * factor);
      const [from, to] = [input.data.length / batch, result.data.length / batch];
      const rows = rowsAtOnce(batch, network.info.rowBytes);
      for (let first = 0; first < batch; first += rows) {
        throwIfAborted(signal);
        const last = Math.min(batch, first + rows);
        const output = result.data.subarray(first * to, last * to);
        await network.forward(last - first, input.data.subarray(first * from, last * from), output);
      }
      return result;
    });
  }

  #outputChannels(half: AutoencoderHalf): number {
    if (half === 'decoder') return this.imageChannels;
    return this.#read.description.kind === 'kl' ? 2 * this.latentChannels : this.latentChannels;
  }
}

/** Number of images of a call that are evaluated at once. */
function rowsAtOnce(batch: number, rowBytes: number): number {
  return Math.max(1, Math.min(batch, Math.floor(MOST_MAP_BYTES / rowBytes)));
}

function splitMoments({ batch, channels, height, width, data }: Maps): EncodedImages {
  const half = (channels / 2) * height * width;
  const logVariance = partOfEach(data, batch, half, half).map((value) => Math.min(20, Math.max(-30, value)));
  return { mean: partOfEach(data, batch, 0, half), logVariance };
}
