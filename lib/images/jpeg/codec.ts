import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { DpmError } from '../../base/errors.js';
import { wrongPicture } from '../picture-fit.js';

/** What the decoder says of pictures that it fills up where their data are damaged; other warnings lose nothing. */
const damage = /^(?:Corrupt JPEG data(?!: \d+ extraneous bytes)|Premature end of JPEG file|Inconsistent progression)/;

/** Pixels as the decoder makes them, RGBA; it makes them with a class of browsers, which it looks for among the globals. */
class ImageData {
  constructor(
    readonly data: Uint8ClampedArray,
    readonly width: number,
    readonly height: number,
  ) {}
}

/** MozJPEG, as Emscripten wraps it. */
interface Instance {
  decode(bytes: Uint8Array, upright: boolean): ImageData;
}

/** Makes an instance that has memory of its own. */
export type DecoderFactory = (options: {
  noInitialRun: boolean;
  wasmBinary: Uint8Array;
  printErr: (line: string) => void;
}) => Promise<Instance>;

/** What makes decoders, and what they are made of. */
export type LoadedDecoder = readonly [make: DecoderFactory, wasm: Uint8Array];

/** Loads the package. */
export async function loadDecoder(): Promise<LoadedDecoder> {
  const module: { default: DecoderFactory } = await import('@jsquash/jpeg/codec/dec/mozjpeg_dec.js');
  const wasm = createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm');
  return [module.default, await readFile(wasm)];
}

/** Runs work that takes a global `ImageData`, or sets one, and leaves the globals as they were. */
function withImageData<T>(work: () => T): T {
  const own = Object.getOwnPropertyDescriptor(globalThis, 'ImageData');
  Object.defineProperty(globalThis, 'ImageData', { value: ImageData, configurable: true });
  try {
    return work();
  } finally {
    Reflect.deleteProperty(globalThis, 'ImageData');
    if (own !== undefined) Object.defineProperty(globalThis, 'ImageData', own);
  }
}

/**
 * Decodes JPEG by libjpeg-turbo's rules, those of PIL, so that pixels are the same as there. Loads the decoder with the first
 * picture.
 */
export class JpegCodec {
  #loaded: Promise<LoadedDecoder> | undefined;
  #instance: Instance | undefined;
  #said: string[] = [];

  /** @param load - Loads the decoder. */
  constructor(private readonly load = loadDecoder) {}

  /**
   * Decodes a JPEG to RGBA, as it is stored: its orientation in EXIF is not looked at.
   *
   * @param path - Name in errors.
   * @param bytes - A JPEG whose sides have been checked.
   * @throws {@link DpmError} `ERR_DPM_FILE` if it is damaged, `ERR_DPM_OUT_OF_MEMORY`.
   */
  async decode(path: string, bytes: Uint8Array): Promise<Uint8ClampedArray> {
    const instance = (this.#instance ??= await this.#make());
    this.#said = [];
    try {
      const { data } = withImageData(() => instance.decode(bytes, false));
      const found = this.#said.find((line) => damage.test(line));
      if (found === undefined) return data;
    } catch (cause) {
      // An error ends its program, which neither frees its memory nor can go on.
      this.#instance = undefined;
      this.#requireEnough(path, cause);
    }
    throw wrongPicture(path, `the JPEG is damaged: ${this.#said.at(-1) ?? 'it cannot be decoded'}`);
  }

  /** Tells a picture that there is no memory for, and which is not to be left out, from one that is damaged. */
  #requireEnough(path: string, cause: unknown): void {
    if (!(cause instanceof RangeError) && !this.#said.some((line) => line.startsWith('Insufficient memory'))) return;
    throw new DpmError('ERR_DPM_OUT_OF_MEMORY', `${path}: there is no memory to decode the JPEG`, { cause });
  }

  async #make(): Promise<Instance> {
    const [make, wasmBinary] = await (this.#loaded ??= this.load());
    const printErr = (line: string): void => void this.#said.push(line);
    return withImageData(() => make({ noInitialRun: true, wasmBinary, printErr }));
  }
}
