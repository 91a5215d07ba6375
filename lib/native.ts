import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { DpmError } from './errors.js';

/** Version of the addon's surface; the addon reports the same number or is refused. */
export const NATIVE_ABI_VERSION = 2;

/** One device the process knows about, usable or not. */
export interface NativeDeviceInfo {
  /** `cpu`, `reference`, `cuda:0`, … */
  name: string;
  usable: boolean;
  /** Preference among usable devices; `auto` takes the highest. */
  score: number;
  /** Instruction set, card name, … ; empty when unusable. */
  description: string;
  /** Why the device cannot be used, with the places searched; empty when usable. */
  reason: string;
}

/** A float32 tensor in device memory. Released by `free` or when collected. */
export interface NativeTensor {
  readonly elements: number;
  free(): void;
}

/** A flag the engine reads before every network evaluation. */
export interface NativeCancelToken {
  cancel(): void;
}

/** A weight inside a file that native code maps. */
export interface NativeWeight {
  /** Canonical name, e.g. `down_blocks.0.resnets.0.conv1.weight`. */
  name: string;
  /** Index into {@link NativeWeights.files}. */
  file: number;
  dtype: 'F32' | 'F16' | 'BF16';
  shape: number[];
  /** Absolute byte offset in the file. */
  offset: number;
  /** Bytes from `offset` on that belong to it; with a view those it is picked from. */
  bytes: number;
  /** How its elements lie where not row-major: in the row-major order of `dims`, strides in elements. */
  view?: { dims: number[]; strides: number[] } | undefined;
}

export interface NativeWeights {
  files: string[];
  tensors: NativeWeight[];
}

/** Half the size by means of 2 x 2 or the filter [1,3,3,1], twice the size by repetition or that filter. */
export type NativeResampling = 'mean' | 'nearest' | 'fir-down' | 'fir-up';

/**
 * One block of the canonical U-Net. Blocks run in order over a current map `h` and a stack of skips:
 * `push` saves `h`, `pop` replaces `h` by `concat(h, popped)` along channels, `h` first.
 * `name` is the prefix of the block's weights.
 */
export type NativeBlock =
  | { kind: 'push' }
  | { kind: 'pop' }
  | {
      /** Weights: norm1, conv1, time_emb_proj, norm2, conv2 and, where there is a shortcut, conv_shortcut. */
      kind: 'residual';
      name: string;
      inChannels: number;
      outChannels: number;
      groups1: number;
      groups2: number;
      epsilon: number;
      /** How the time projection enters: added after conv1, or scale and shift after norm2 (scale first). */
      timeMode: 'add' | 'scale-shift';
      /** Resampling between SiLU and conv1, applied to both branches. */
      resample: 'none' | NativeResampling;
      shortcut: 'identity' | 'convolution';
      /** The block's output is multiplied by this. */
      scale: number;
    }
  | {
      /** Weights: group_norm, to_q, to_k, to_v, to_out.0; projections are [C,C] or [C,C,1,1]. */
      kind: 'attention';
      name: string;
      channels: number;
      heads: number;
      /** 0: no group norm before the projections. */
      groups: number;
      epsilon: number;
      scale: number;
    }
  /** 3x3 convolution of stride 2; `symmetric` pads 1 on all sides, `asymmetric` right and bottom only. */
  | { kind: 'downsample'; name: string; channels: number; padding: 'symmetric' | 'asymmetric' }
  /** Nearest x2, then a 3x3 convolution. */
  | { kind: 'upsample'; name: string; channels: number }
  /** Resampling alone. */
  | { kind: 'resample'; method: NativeResampling }
  /** The image that accompanies the maps down, at first the network's input. */
  | { kind: 'image-resample'; method: NativeResampling }
  /** h = p + h, or h = concat(p, h) along channels, p a 1x1 convolution of the image to h's channels. */
  | { kind: 'image-combine'; name: string; from: number; channels: number; method: 'sum' | 'concat' }
  /** image = h = (p + h) * scale, p the image at half the size by a 3x3 convolution of stride 2, filtered first with `fir`. */
  | { kind: 'image-residual'; name: string; from: number; channels: number; fir: boolean; scale: number }
  /** result = result + a 3x3 convolution `name` of h behind the group norm `norm` and SiLU; the result is nothing at first. */
  | { kind: 'result-add'; norm: string; name: string; channels: number; to: number; groups: number; epsilon: number }
  | { kind: 'result-resample'; method: NativeResampling };

/** The canonical U-Net: what every checkpoint family is mapped to. */
export interface NativeUNet {
  inChannels: number;
  outChannels: number;
  height: number;
  width: number;
  /** Width of the first convolution (`conv_in`). */
  baseChannels: number;
  /** The network sees 2x - 1 instead of x. */
  centerInput: boolean;
  /** Sinusoidal embedding and its two-layer MLP (`time_embedding.linear_1`, `time_embedding.linear_2`). */
  time: {
    /** Length of the sinusoidal embedding. */
    channels: number;
    /** Length after the MLP. */
    embedding: number;
    /** Denominator half - shift of the frequencies. */
    shift: number;
    order: 'sin-cos' | 'cos-sin';
    /** Frequencies 2 pi W of the weight `time_proj.weight` instead, of the time or its logarithm; null: sinusoidal. */
    fourier?: 'linear' | 'logarithmic' | null | undefined;
    /** Instead the row of the truncated time in `time_proj.weight`, which has so many; null: computed. */
    rows?: number | null | undefined;
  };
  /** Number of classes; 0: not class-conditional. */
  classes: number;
  /**
   * What is added for a class: a row of `class_embedding.weight` behind the MLP of the time (the default); the row, times
   * sqrt(classes) and with `class_embedding.bias`, before it; or the label, embedded like a time with an MLP of its own
   * (`class_embedding.linear_1`, `class_embedding.linear_2`) behind it.
   */
  classEmbedding?: 'row' | 'scaled-row' | 'time' | undefined;
  blocks: NativeBlock[];
  /** Output norm and convolution `conv_norm_out`, `conv_out`, to which the result is added; null: the result alone. */
  output: { groups: number; epsilon: number } | null;
  /** What the outputs are divided by: the time, or the entry of this table at the truncated time. */
  divisor?: 'time' | Float32Array | null | undefined;
  /**
   * A second output from the map that enters the output norm: `<prefix>.norm_out`, `<prefix>.conv_out` and, when
   * `complex`, a residual block `<prefix>.resnet` first.
   */
  head: { prefix: string; complex: boolean; outChannels: number; groups: number; epsilon: number } | null;
}

/** How an engine is opened. */
export interface NativeEngineOptions {
  device: string;
  dtype: 'f32' | 'f16' | 'bf16';
  threads: number;
  exact: boolean;
  tf32: boolean;
  autotune: boolean;
}

/** What {@link NativeEngine.loadNetwork} reports about a network. */
export interface NativeNetworkInfo {
  parameters: number;
  /** Multiply-adds of convolutions, linear layers and attention for one image. */
  multiplyAdds: number;
  /** Nodes of the graph before and after fusion. */
  primitiveNodes: number;
  nodes: number;
  /** What the device has packed the weights into, in bytes. */
  weightBytes: number;
}

/** Per-sample identity of a random stream: seed (low, high), sampleIndex, record, draw. */
export type NativeStreams = Uint32Array;

/** Tensors a fused update reads and writes; `[batch, elements]` each, absent ones are null. */
export interface NativeRegisters {
  x: NativeTensor | null;
  y: NativeTensor | null;
  out: NativeTensor | null;
  head: NativeTensor | null;
  /** Explicit noise instead of the random stream. */
  noise: NativeTensor | null;
  history: (NativeTensor | null)[];
}

export interface NativeRunRequest {
  /** Binary records of all programs, back to back ({@link RECORD_BYTES} each). */
  records: Uint8Array;
  /** Per program: first record, number of records, history length. */
  programs: Uint32Array;
  /** Per program: standard deviation of the initial noise. */
  initialScale: Float32Array;
  /** Per sample: index of its program. */
  sampleProgram: Uint32Array;
  /** Per sample: seed low, seed high, sampleIndex. */
  sampleStream: Uint32Array;
  /** Per sample class label, or null. */
  labels: Int32Array | null;
  /** Per sample weight of classifier-free guidance, or null for none. */
  guidance: Float32Array | null;
  /** The label of unconditional evaluations; -1: no label. */
  unconditionalLabel: number;
  /** Initial states [count, C, H, W], or null for noise. */
  init: Float32Array | null;
  /** [noiseRecords, count, C, H, W]: slice r serves the r-th record that adds noise; null: random streams. */
  noise: Float32Array | null;
  /** Most samples evaluated at once. */
  batch: number;
  /** State is kept after every k-th record; 0: never. */
  snapshotEvery: number;
  /** Results are 8-bit levels instead of floats. */
  levels: boolean;
  cancel: NativeCancelToken | null;
  /** Records done and records in all, over all samples; calls are coalesced. */
  onProgress: ((done: number, total: number) => void) | null;
}

export interface NativeRunResult {
  /** Final states, [count * C * H * W]. */
  images: Float32Array | Uint8Array;
  /** States after every `snapshotEvery`-th record, in order; finished samples keep their last state. */
  snapshots: { record: number; images: Float32Array | Uint8Array }[];
}

/** A map of one sample and where in its storage it lies. */
export interface NativeMap {
  /** Index of the value in the graph. */
  value: number;
  channels: number;
  height: number;
  width: number;
  /** The first of its channels, and all channels of a pixel, in the storage it shares with other values. */
  firstChannel: number;
  pixelStride: number;
  /** What the storage is: inside the network, or one of its inputs and outputs. */
  role: 'internal' | 'image' | 'time' | 'label' | 'output' | 'head';
}

/** One operation of a graph after fusion; fields as in native/backend/backend.h. */
export interface NativeNode {
  name: string;
  op:
    | 'time_embedding'
    | 'embedding'
    | 'convolution'
    | 'group_norm'
    | 'attention'
    | 'bias'
    | 'channel_add'
    | 'scale_shift'
    | 'silu'
    | 'add'
    | 'affine'
    | 'concat'
    | 'upsample'
    | 'average_pool'
    | 'fir_upsample'
    | 'fir_downsample';
  /** A convolution's are its map, its channel vector and its residual. */
  inputs: readonly [NativeMap | null, NativeMap | null, NativeMap | null];
  output: NativeMap;
  /** Weights stacked along the output channels. */
  parts: number;
  weightElements: number;
  /** For one sample. */
  multiplyAdds: number;
  kernel: number;
  stride: number;
  padBefore: number;
  padAfter: number;
  heads: number;
  groups: number;
  scale: number;
  bias: boolean;
  upsample: boolean;
  silu: boolean;
}

export interface NativeNetwork {
  readonly info: NativeNetworkInfo;
  /**
   * One evaluation. `x` is [batch, C, H, W]; `out` receives all output channels; `head` the second output.
   * Typed arrays are copied in and out; device tensors are used in place. Work on one engine runs in call order.
   */
  forward(
    batch: number,
    x: Float32Array | NativeTensor,
    t: Float32Array,
    labels: Int32Array | null,
    out: Float32Array | NativeTensor,
    head: Float32Array | NativeTensor | null,
  ): Promise<void>;
  forwardSync(
    batch: number,
    x: Float32Array | NativeTensor,
    t: Float32Array,
    labels: Int32Array | null,
    out: Float32Array | NativeTensor,
    head: Float32Array | NativeTensor | null,
  ): void;
  run(request: NativeRunRequest): Promise<NativeRunResult>;
  /** Time per node of one evaluation, milliseconds (median of `repeats`). */
  profile(batch: number, repeats: number): Promise<{ name: string; milliseconds: number; multiplyAdds: number }[]>;
  /** The graph after fusion, in order of evaluation. */
  nodes(): NativeNode[];
  close(): Promise<void>;
}

export interface NativeEngine {
  readonly device: string;
  readonly description: string;
  readonly threads: number;
  tensor(elements: number): NativeTensor;
  write(tensor: NativeTensor, data: Float32Array): Promise<void>;
  read(tensor: NativeTensor, into: Float32Array): Promise<void>;
  loadNetwork(description: NativeUNet, weights: NativeWeights): Promise<NativeNetwork>;
  /** One fused update: `records` holds one binary record per sample, `streams` five words per sample. */
  update(
    batch: number,
    elements: number,
    records: Uint8Array,
    registers: NativeRegisters,
    streams: NativeStreams,
  ): Promise<void>;
  updateSync(
    batch: number,
    elements: number,
    records: Uint8Array,
    registers: NativeRegisters,
    streams: NativeStreams,
  ): void;
  /** Per-sample reductions in float64. `dot` needs `b`. */
  reduce(
    kind: 'sum' | 'sum-squares' | 'dot' | 'max-abs',
    batch: number,
    elements: number,
    a: NativeTensor,
    b: NativeTensor | null,
  ): Promise<Float64Array>;
  /** GFLOP/s of multiply-adds and GB/s of a copy that the device can do at most, measured now. */
  measurePeak(): Promise<{ gflops: number; copyGigabytesPerSecond: number }>;
  memory(): { host: number; device: number; peakDevice: number };
  /** Rejects queued work, waits for running work, releases everything. Idempotent. */
  close(): Promise<void>;
}

export interface NativeBinding {
  abiVersion: number;
  recordBytes: number;
  devices(): NativeDeviceInfo[];
  Engine: new (options: NativeEngineOptions) => NativeEngine;
  CancelToken: new () => NativeCancelToken;
  /** Does nothing; for measuring the cost of a call. */
  noop(): void;
}

const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..');
let binding: NativeBinding | undefined;

/**
 * The addon, loaded on first use.
 *
 * @throws {@link DpmError} `ERR_DPM_ADDON` when no build for this platform is found or it does not fit this package.
 */
export function native(): NativeBinding {
  binding ??= load();
  return binding;
}

function load(): NativeBinding {
  const napi = Number(process.versions.napi);
  if (!(napi >= 8)) {
    throw new DpmError(
      'ERR_DPM_ADDON',
      `dpm-native needs Node-API 8 or newer, this runtime has ${process.versions.napi}`,
    );
  }
  const require = createRequire(import.meta.url);
  const loadAddon = require('node-gyp-build') as (directory: string) => NativeBinding;
  let loaded: NativeBinding;
  try {
    loaded = loadAddon(packageRoot);
  } catch (cause) {
    throw new DpmError(
      'ERR_DPM_ADDON',
      `no native build of dpm-native for ${process.platform}-${process.arch} was found in ${packageRoot}; ` +
        `build one with: npm install cmake-js node-addon-api && node ${join(packageRoot, 'scripts/native-build.cjs')}`,
      { cause },
    );
  }
  if (loaded.abiVersion !== NATIVE_ABI_VERSION) {
    throw new DpmError(
      'ERR_DPM_ADDON',
      `the native build has surface version ${String(loaded.abiVersion)}, this package needs ${String(NATIVE_ABI_VERSION)}; rebuild it`,
    );
  }
  return loaded;
}
