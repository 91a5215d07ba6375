import { kindsOf, standardsOf, type OptionFacts } from '../../base/option-facts.js';
import { kinds, threeSizes, type OptionKinds } from '../../base/option-kinds.js';

/** Options of {@link openImages}. */
export interface OpenImagesOptions {
  /** Shape [C, H, W] of the network's images. Default: that of the data, of pictures that of the first one. */
  shape?: readonly [channels: number, height: number, width: number] | undefined;
  /** False: labels are left out, and folders inside a folder are no classes. Default true. */
  labels?: boolean | undefined;
  /** True: images of other sides are brought to those of `shape`. Default false: they are refused. */
  resize?: boolean | undefined;
  /** True: pictures that cannot be read are left out, and counted. Default false: the first one is an error. */
  skipBroken?: boolean | undefined;
  /** Signal that aborts before the next picture. */
  signal?: AbortSignal | undefined;
  /** Function that receives finished and total numbers of pictures. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Facts about each option of {@link OpenImagesOptions}. */
export const openImagesOptionFacts = {
  shape: { kind: threeSizes, help: "shape of the network's images", otherwise: 'that of the data' },
  labels: { kind: kinds.boolean, help: 'whether labels are read', standard: true },
  resize: { kind: kinds.boolean, help: "brings images of other sides to the network's", standard: false },
  skipBroken: {
    kind: kinds.boolean,
    help: 'leaves out pictures that cannot be read, and counts them',
    standard: false,
  },
  signal: { kind: kinds.signal, help: 'aborts before the next picture' },
  onProgress: { kind: kinds.function, help: 'is told the pictures done and the pictures in all' },
} as const satisfies OptionFacts<OpenImagesOptions>;

/** Kind of each option of {@link OpenImagesOptions}. */
export const openImagesOptionKinds: OptionKinds<OpenImagesOptions> = kindsOf<OpenImagesOptions>(openImagesOptionFacts);

/** Defaults of {@link OpenImagesOptions}. */
export const openImagesDefaults = standardsOf(openImagesOptionFacts);
