import type {
  NativeBatch,
  NativeCancelToken,
  NativeNetwork,
  NativeNetworkOptions,
  NativeRegisters,
  NativeScriptBatchOptions,
  NativeStreams,
  NativeTensor,
} from './binding.js';
import type { NativeGraph } from './native-graph.js';
import type { NativeTrainer, NativeTrainerOptions } from './native-trainer.js';

/** Version of the addon's surface; the addon reports the same number or is refused. */
export const NATIVE_ABI_VERSION = 16;

/** What a device does at most in a second. */
export interface NativeRates {
  /** GFLOP/s of float32 multiply-adds. */
  gflops: number;
  /** GB/s of a copy, read and written. */
  copyGigabytesPerSecond: number;
}

/** One device the process knows about, usable or not. */
export interface NativeDeviceInfo {
  /** Name: `cpu`, `reference`, `cuda:0`, … */
  name: string;
  usable: boolean;
  /** Preference among usable devices; `auto` takes the highest. */
  score: number;
  /** Instruction set, card name, … ; empty if unusable. */
  description: string;
  /** Reason why the device cannot be used, with the places searched; empty if usable. */
  reason: string;
}

/** Options of an engine. */
export interface NativeEngineOptions {
  device: string;
  dtype: 'f32' | 'f16' | 'bf16';
  threads: number;
  exact: boolean;
  tf32: boolean;
  autotune: boolean;
}

/** Engine of the addon: a device and its thread. */
export interface NativeEngine {
  readonly device: string;
  readonly description: string;
  readonly threads: number;
  tensor(elements: number): NativeTensor;
  write(tensor: NativeTensor, data: Float32Array): Promise<void>;
  read(tensor: NativeTensor, into: Float32Array): Promise<void>;
  loadNetwork(graph: NativeGraph, options: NativeNetworkOptions, cancel?: NativeCancelToken): Promise<NativeNetwork>;
  /** Loads a network that learns. Rejects with `ERR_DPM_UNSUPPORTED` if the device does not train. */
  loadTrainer(graph: NativeGraph, options: NativeTrainerOptions, cancel?: NativeCancelToken): Promise<NativeTrainer>;
  scriptBatch(options: NativeScriptBatchOptions): Promise<NativeBatch>;
  /** Runs one fused update: `records` holds one binary record per sample, `streams` five words per sample. */
  update(
    batch: number,
    elements: number,
    records: Uint8Array,
    registers: NativeRegisters,
    streams: NativeStreams,
  ): Promise<void>;
  /** Reduces each sample to a number in float64. `dot` needs `b`. */
  reduce(
    kind: 'sum' | 'sum-squares' | 'dot' | 'max-abs',
    batch: number,
    elements: number,
    a: NativeTensor,
    b: NativeTensor | null,
  ): Promise<Float64Array>;
  /** Measures the device's peak GFLOP/s of multiply-adds and GB/s of a copy. */
  measurePeak(): Promise<NativeRates>;
  memory(): { host: number; device: number; peakDevice: number };
  /** Returns released memory that the device keeps. */
  trim(): Promise<void>;
  /** Statistics of the device; null for devices that have none. */
  statistics(): {
    capturedGraphs: number;
    failedCaptures: number;
    graphNodes: number;
    plans: number;
    refusedPlans: number;
    planningSeconds: number;
  } | null;
  /** Rejects queued work, waits for running work, releases everything. Idempotent. */
  close(): Promise<void>;
}

/** What the addon exports. */
export interface NativeBinding {
  abiVersion: number;
  recordBytes: number;
  devices(): NativeDeviceInfo[];
  /** Sets the files of the CUDA plug-in, in place of those beside the addon; no effect after the first use of devices, or without files. */
  useCudaPlugins(paths: readonly string[]): void;
  Engine: new (options: NativeEngineOptions) => NativeEngine;
  CancelToken: new () => NativeCancelToken;
}
