import type { NativeNode } from './native-node.js';
import type { NativeGraph } from './native-graph.js';

/** Version of the addon's surface; the addon reports the same number or is refused. */
export const NATIVE_ABI_VERSION = 11;

/** Most samples of one evaluation. */
export const MOST_AT_ONCE = 65_536;

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
  /** Another tensor of the same memory, which lasts until both are freed. */
  share(): NativeTensor;
}

/** A flag the engine reads before every network evaluation, and before every weight that it loads. */
export interface NativeCancelToken {
  cancel(): void;
}

/** What a graph does not say about its network. */
export interface NativeNetworkOptions {
  /** Number of labels; 0: it takes none. */
  classes: number;
  /** What outputs are divided by: the time, or the entry of this table at the truncated time; null: nothing. */
  divisor: 'time' | Float32Array | null;
  /** What the network computes beside its outputs. */
  derivative?: NativeDerivative;
  /** What of a pullback is not kept but computed again. */
  recompute?: RecomputePolicy;
  /** A network of the same files, whose weights have to be the same still. */
  weightsOf?: NativeNetwork;
}

/**
 * What of a network is kept until its derivative in reverse reads it: everything (`none`), or inputs of blocks and skips, whose inside is
 * computed again (`blocks`).
 */
export type RecomputePolicy = 'none' | 'blocks';

/**
 * Cotangents of the outputs pulled back to the image, a tangent of the image pushed forward to the outputs, or of a classifier the derivative of
 * ln p(label) by the image.
 */
export type NativeDerivative = 'pullback' | 'pushforward' | 'label-score';

/** Tensors of a derivative; those of a second output where the network has one. */
export type NativeDerivativeTensors =
  | { outCotangent: NativeTensorLike; headCotangent: NativeTensorLike | null; imageCotangent: NativeTensorLike }
  | { imageTangent: NativeTensorLike; outTangent: NativeTensorLike; headTangent: NativeTensorLike | null }
  | { imageCotangent: NativeTensorLike };

/** Copied in and out, or used in place. */
export type NativeTensorLike = Float32Array | NativeTensor;

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
  /** Nodes of the graph after fusion. */
  nodes: number;
  /** What the device has packed the weights into, in bytes. */
  weightBytes: number;
  /** Bytes of the maps of one sample. */
  rowBytes: number;
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

/** A classifier whose gradients guide the samples of a run. */
export interface NativeGuide {
  /** With the derivative `label-score`, on the device of the run's own. */
  network: NativeNetwork;
  /** One a sample. */
  labels: Int32Array;
  scale: number;
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
  /** Of `NativeNetwork.run` with one program; null for none. */
  guides?: readonly NativeGuide[] | null;
  /** Most samples evaluated at once. */
  batch: number;
  /** State is kept after every k-th record; 0: never. */
  snapshotEvery: number;
  /** Results are 8-bit levels instead of floats. */
  levels: boolean;
  cancel: NativeCancelToken | null;
  /** Records done and records in all, over all samples; calls are coalesced. */
  onProgress: ((done: number, total: number) => void) | null;
  /** How many records there are between two calls of `onPreview`; 0: there are none. */
  previewEvery: number;
  /** States of the samples in flight, of which `first` is the first. */
  onPreview: ((record: number, first: number, images: Float32Array | Uint8Array) => void) | null;
}

export interface NativeRunResult {
  /** Final states, [count * C * H * W]. */
  images: Float32Array | Uint8Array;
  /** States after every `snapshotEvery`-th record, in order; finished samples keep their last state. */
  snapshots: { record: number; images: Float32Array | Uint8Array }[];
}

/** How a batch is opened. */
export interface NativeBatchOptions {
  /** Rows that the network sees in a step at most. */
  rows: number;
  /** Samples that have a state; at least `rows`. */
  slots: number;
  /** Rows are left out of a step where padding would cost more. */
  fit: boolean;
  /** Every step is computed at its full size. */
  whole: boolean;
  /** Share of the engine's time among batches that have work. */
  weight: number;
}

/** What a batch asks functions of the caller's for. */
export interface NativeQuestion {
  /** A prediction where a function stands for the network, the gradient of guides, or the states to go on from. */
  asked: 'prediction' | 'guide' | 'constraint';
  /** What the network sees, or the states after a record; [rows, …]. */
  x: Float32Array;
  /** One per row; none of a constraint. */
  times: Float32Array;
  /** Of predictions, one per row where there are classes. */
  labels: Int32Array | null;
  /** The first sample of its request that the rows are of; not of predictions. */
  sample: number;
  /** Of a constraint: records that the samples have behind them. */
  record: number;
}

/** A batch of a network. */
export interface NativeNetworkBatchOptions extends NativeBatchOptions {
  /** Whether functions guide its samples, or say after every step from which states they go on: those of one request. */
  guides: boolean;
  constrains: boolean;
  /** `answer` or `abandon` has to follow. Null: there is nothing to ask. */
  onQuestion: ((question: NativeQuestion) => void) | null;
}

/** A batch whose predictions JavaScript makes. */
export interface NativeScriptBatchOptions extends NativeBatchOptions {
  /** Of one sample. */
  elements: number;
  /** Whether programs may read a second output. */
  head: boolean;
  /** Number of labels; 0: it takes none. */
  classes: number;
  /** `answer` or `abandon` has to follow. */
  onQuestion: (question: NativeQuestion) => void;
}

/** A run whose samples join a batch, where its `batch` and `guides` say nothing. */
export interface NativeBatchRequest extends NativeRunRequest {
  /** Those of a higher one run first. */
  priority: number;
  /** One per sample; of one priority the least run first. */
  keys: Float64Array;
  /** A preview shows all samples in a row that have come as far; otherwise one, its `first`. */
  previewsRows: boolean;
  /** Previews show the data prediction: per record the coefficients of the input and of the output. Null: the state. */
  dataPredictions: Float32Array | null;
  /** Is given every sample that is done. */
  onImage: ((sample: number, image: Float32Array | Uint8Array) => void) | null;
}

/** What a request of a batch gives. */
export interface NativeBatchResult extends NativeRunResult {
  /** Milliseconds until its first sample had a slot. */
  queued: number;
  /** Milliseconds from then on. */
  ran: number;
}

/** What a batch has done so far. */
export interface BatchCounts {
  /** Steps done. */
  steps: number;
  /** Rows that the network saw. */
  rows: number;
  /** Rows that were computed beside them. */
  paddedRows: number;
  /** Seconds of all steps. */
  seconds: number;
  /** Samples that have a slot. */
  resident: number;
  /** Samples that have none yet. */
  waiting: number;
  /** Requests that are done, cancelled ones included. */
  finished: number;
  /** Requests that were cancelled. */
  cancelled: number;
  /** Seconds of the process's steady clock at the end of the last step; 0: there was none. */
  lastStepAt: number;
}

/** A batch that samples join and leave at every evaluation. */
export interface NativeBatch {
  /** What it has allocated. */
  readonly bytes: number;
  submit(request: NativeBatchRequest): Promise<NativeBatchResult>;
  /** Answers a question, with as many elements as its states; `head` is the second output of a prediction. */
  answer(values: Float32Array, head: Float32Array | null): Promise<void>;
  /** Ends the requests that take part in the step. */
  abandon(message: string): Promise<void>;
  stats(): BatchCounts;
  /** Requests that are not done reject with `ERR_DPM_CLOSED`. Idempotent. */
  close(): Promise<void>;
}

/** A batch as it is to those who have requests, whoever answers its questions. */
export type NativeRequestBatch = Omit<NativeBatch, 'answer' | 'abandon'>;

export interface NativeNetwork {
  readonly info: NativeNetworkInfo;
  /**
   * One evaluation. `x` is [batch, C, H, W]; `out` receives all output channels; `head` the second output; `derivative` is for a network
   * that has one.
   * Typed arrays are copied in and out; device tensors are used in place. Work on one engine runs in call order.
   */
  forward(
    batch: number,
    x: NativeTensorLike,
    t: Float32Array,
    labels: Int32Array | null,
    out: NativeTensorLike,
    head: NativeTensorLike | null,
    derivative?: NativeDerivativeTensors,
  ): Promise<void>;
  /**
   * One prediction on device tensors of [batch, C, H, W], with classifier-free guidance where weights are given; `head`
   * receives the second output, or the second half of twice the channels.
   */
  predict(
    x: NativeTensor,
    t: Float32Array,
    labels: Int32Array | null,
    guidance: Float32Array | null,
    unconditionalLabel: number,
    out: NativeTensor,
    head: NativeTensor | null,
  ): Promise<void>;
  run(request: NativeRunRequest): Promise<NativeRunResult>;
  batch(options: NativeNetworkBatchOptions): Promise<NativeBatch>;
  /** Milliseconds of one evaluation at each of these batches (median of `repeats`). */
  measure(batches: Uint32Array, repeats: number): Promise<Float64Array>;
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
  loadNetwork(graph: NativeGraph, options: NativeNetworkOptions, cancel?: NativeCancelToken): Promise<NativeNetwork>;
  scriptBatch(options: NativeScriptBatchOptions): Promise<NativeBatch>;
  /** One fused update: `records` holds one binary record per sample, `streams` five words per sample. */
  update(
    batch: number,
    elements: number,
    records: Uint8Array,
    registers: NativeRegisters,
    streams: NativeStreams,
  ): Promise<void>;
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
  /** Gives back what the device keeps of memory that was released. */
  trim(): Promise<void>;
  /** Null for devices that have nothing to tell. */
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

export interface NativeBinding {
  abiVersion: number;
  recordBytes: number;
  devices(): NativeDeviceInfo[];
  /** Files of the CUDA plug-in, in place of those beside the addon; of no effect once devices have been asked for, or where there are none. */
  useCudaPlugins(paths: readonly string[]): void;
  Engine: new (options: NativeEngineOptions) => NativeEngine;
  CancelToken: new () => NativeCancelToken;
}
