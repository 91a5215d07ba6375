import type { NativeNode } from './native-node.js';

/** Maximum number of samples of one evaluation. */
export const MOST_AT_ONCE = 65_536;

/** A float32 tensor in device memory. Released by `free` or when collected. */
export interface NativeTensor {
  readonly elements: number;
  free(): void;
  /** Makes another tensor of the same memory, which lasts until both are freed. */
  share(): NativeTensor;
}

/** A flag the engine reads before every network evaluation, and before every weight that it loads. */
export interface NativeCancelToken {
  cancel(): void;
}

/** Facts about a network that its graph does not hold. */
export interface NativeNetworkOptions {
  /** Number of labels; 0: the network takes none. */
  classes: number;
  /** Divisor of the outputs: the time, or the entry of this table at the truncated time; null: none. */
  divisor: 'time' | Float32Array | null;
  /** Derivative that the network computes beside its outputs. */
  derivative?: NativeDerivative;
  /** Part of a derivative in reverse that is not kept but computed again. */
  recompute?: RecomputePolicy;
  /** Constants whose gradients `weights` computes; absent or empty: all that have one. */
  learned?: readonly number[];
  /** True if `weights` computes the cotangent of the image, too. */
  pullsToImage?: boolean;
  /** True if `weights` computes the cotangent of each sample's context, too. */
  pullsToContext?: boolean;
  /** Network of the same files, whose weights must not have changed since. */
  weightsOf?: NativeNetwork;
}

/**
 * Part of a network that is kept until its derivative in reverse reads it: everything (`none`), everything but results
 * of norms and activations, which are computed again (`norms`), or inputs of blocks and skips, whose inside is computed
 * again (`blocks`).
 */
export type RecomputePolicy = 'none' | 'norms' | 'blocks';

/**
 * Cotangents of the outputs pulled back to the image, a tangent of the image pushed forward to the outputs, for a
 * classifier the derivative of ln p(label) by the image, or cotangents of the outputs pulled back to the weights.
 */
export type NativeDerivative = 'pullback' | 'pushforward' | 'label-score' | 'weights';

/** Place of a constant's gradient among all gradients of a network, in elements. */
export interface NativeGradientPlace {
  /** Index of the constant in the graph. */
  constant: number;
  offset: number;
  elements: number;
}

/** Gradients that a network with the derivative `weights` computes, in one array of `elements`. */
export interface NativeGradients {
  elements: number;
  places: NativeGradientPlace[];
}

/** Tensors of a derivative; those of a second output if the network has one. */
export type NativeDerivativeTensors =
  | { outCotangent: NativeTensorLike; headCotangent: NativeTensorLike | null; imageCotangent: NativeTensorLike }
  | { imageTangent: NativeTensorLike; outTangent: NativeTensorLike; headTangent: NativeTensorLike | null }
  | { imageCotangent: NativeTensorLike }
  | {
      outCotangent: NativeTensorLike;
      headCotangent: NativeTensorLike | null;
      /** Null unless the network pulls to the image. */
      imageCotangent: NativeTensorLike | null;
      /** Receives all gradients, summed over the samples; they are added to a tensor. */
      gradients: NativeTensorLike;
      /** Receives the cotangent of each sample's context, where the network pulls to it. */
      contextCotangent?: NativeTensorLike;
    };

/** What a network without a derivative or with that by the weights sees beside its image: each of the tensors that it has. */
export interface NativeGivenTensors {
  context?: NativeTensorLike | undefined;
  /** Context of each sample; absent: sample n has context n. */
  groups?: Uint32Array | undefined;
  added?: NativeTensorLike | undefined;
  guidance?: NativeTensorLike | undefined;
}

/** Array that is copied in and out, or tensor that is used in place. */
export type NativeTensorLike = Float32Array | NativeTensor;

/** Facts that {@link NativeEngine.loadNetwork} reports about a network. */
export interface NativeNetworkInfo {
  parameters: number;
  /** Number of multiply-adds of convolutions, linear layers and attention for one image. */
  multiplyAdds: number;
  /** Number of nodes of the graph after fusion. */
  nodes: number;
  /** Bytes of the packed weights that no other network of the device had before. */
  weightBytes: number;
  /** Bytes of the maps of one sample. */
  rowBytes: number;
  /** Duration of checking, deriving and fusing the graph, and planning its memory. */
  planMilliseconds: number;
  /** Duration of reading the weights and comparing them with an earlier reading. */
  readMilliseconds: number;
  /** Duration of packing the weights. */
  packMilliseconds: number;
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
  /** Network with the derivative `label-score`, on the run's own device. */
  network: NativeNetwork;
  /** Class label per sample. */
  labels: Int32Array;
  scale: number;
}

export interface NativeRunRequest {
  /** Binary records of all programs, back to back ({@link RECORD_BYTES} each). */
  records: Uint8Array;
  /** First record, number of records and history length, per program. */
  programs: Uint32Array;
  /** Standard deviation of the initial noise, per program. */
  initialScale: Float32Array;
  /** Index of the program, per sample. */
  sampleProgram: Uint32Array;
  /** Words seed low, seed high and sampleIndex, per sample. */
  sampleStream: Uint32Array;
  /** Class label per sample, or null. */
  labels: Int32Array | null;
  /** Weight of classifier-free guidance per sample, or null for none. */
  guidance: Float32Array | null;
  /** Label of unconditional evaluations; -1: no label. */
  unconditionalLabel: number;
  /** Initial states [count, C, H, W], or null for noise. */
  init: Float32Array | null;
  /** Noise [noiseRecords, count, C, H, W]: slice r is for the r-th record that adds noise; null: random streams. */
  noise: Float32Array | null;
  /** Guides of `NativeNetwork.run` with one program; null for none. */
  guides?: readonly NativeGuide[] | null;
  /** Maximum number of samples evaluated at once. */
  batch: number;
  /** Interval, in records, at which states are kept; 0: never. */
  snapshotEvery: number;
  /** True if results are 8-bit levels instead of floats. */
  levels: boolean;
  cancel: NativeCancelToken | null;
  /** Function that receives finished records and all records, over all samples; calls are coalesced. */
  onProgress: ((done: number, total: number) => void) | null;
  /** Number of records between two calls of `onPreview`; 0: no calls. */
  previewEvery: number;
  /** Function that receives states of the samples in progress; `first` is the first sample. */
  onPreview: ((record: number, first: number, images: Float32Array | Uint8Array) => void) | null;
}

export interface NativeRunResult {
  /** Final states, [count * C * H * W]. */
  images: Float32Array | Uint8Array;
  /** States after every `snapshotEvery`-th record, in order; finished samples keep their last state. */
  snapshots: { record: number; images: Float32Array | Uint8Array }[];
}

/** Options of a batch. */
export interface NativeBatchOptions {
  /** Maximum number of rows in a step. */
  rows: number;
  /** Number of samples that have a state; at least `rows`. */
  slots: number;
  /** True if rows are left out of a step where padding would cost more. */
  fit: boolean;
  /** True if every step is computed at its full size. */
  whole: boolean;
  /** Share of the engine's time among batches that have work. */
  weight: number;
}

/** Question of a batch to functions of the caller. */
export interface NativeQuestion {
  /** Kind of the answer: a prediction in place of the network, the gradient of guides, or new states. */
  asked: 'prediction' | 'guide' | 'constraint';
  /** Inputs of the network, or the states after a record; [rows, …]. */
  x: Float32Array;
  /** Times, one per row; none for a constraint. */
  times: Float32Array;
  /** Labels for predictions, one per row, if there are classes. */
  labels: Int32Array | null;
  /** First sample of its request that the rows belong to; not for predictions. */
  sample: number;
  /** Number of finished records of the samples, for a constraint. */
  record: number;
}

/** What functions of the caller do in a batch, whose samples are then of one request. */
interface NativeConstraints {
  /** True if a function replaces the states after every step. */
  constrains: boolean;
}

/** Options of a batch of a network. */
export interface NativeNetworkBatchOptions extends NativeBatchOptions, NativeConstraints {
  /** True if functions guide its samples, which are of one request. */
  guides: boolean;
  /** Function that receives questions; `answer` or `abandon` has to follow. Null: no questions. */
  onQuestion: ((question: NativeQuestion) => void) | null;
}

/** Options of a batch whose predictions JavaScript makes. */
export interface NativeScriptBatchOptions extends NativeBatchOptions, NativeConstraints {
  /** Number of elements of one sample. */
  elements: number;
  /** True if programs may read a second output. */
  head: boolean;
  /** Number of labels; 0: the model takes none. */
  classes: number;
  /** Function that receives questions; `answer` or `abandon` has to follow. */
  onQuestion: (question: NativeQuestion) => void;
}

/** Run whose samples join a batch; its `batch` and `guides` have no effect. */
export interface NativeBatchRequest extends NativeRunRequest {
  /** Priority: requests of a higher one run first. */
  priority: number;
  /** Keys, one per sample; within a priority the least key runs first. */
  keys: Float64Array;
  /** Milliseconds after which it ends with `ERR_DPM_OVERLOADED` if none of its samples has had a slot. */
  mostQueued: number;
  /** True if a preview shows all consecutive samples of equal progress; otherwise it shows one, its `first`. */
  previewsRows: boolean;
  /** Coefficients of input and output per record, for previews that show the data prediction. Null: the state. */
  dataPredictions: Float32Array | null;
  /** Function that receives every finished sample. */
  onImage: ((sample: number, image: Float32Array | Uint8Array) => void) | null;
}

/** Result of a request in a batch. */
export interface NativeBatchResult extends NativeRunResult {
  /** Milliseconds until its first sample had a slot. */
  queued: number;
  /** Milliseconds since its first sample had a slot. */
  ran: number;
}

/** Counts of a batch's work so far. */
export interface BatchCounts {
  /** Number of finished steps. */
  steps: number;
  /** Number of rows that the network computed. */
  rows: number;
  /** Number of padding rows. */
  paddedRows: number;
  /** Seconds of all steps. */
  seconds: number;
  /** Number of samples that have a slot. */
  resident: number;
  /** Number of samples that wait for a slot. */
  waiting: number;
  /** Number of finished requests, cancelled ones included. */
  finished: number;
  /** Number of cancelled requests. */
  cancelled: number;
  /** Time of the process's steady clock at the end of the last step, in seconds; 0: no step yet. */
  lastStepAt: number;
}

/** Batch that samples join and leave at every evaluation. */
export interface NativeBatch {
  /** Number of bytes that it has allocated. */
  readonly bytes: number;
  submit(request: NativeBatchRequest): Promise<NativeBatchResult>;
  /** Answers a question, with as many elements as its states; `head` is the second output of a prediction. */
  answer(values: Float32Array, head: Float32Array | null): Promise<void>;
  /** Ends the requests that take part in the step, with an error. */
  abandon(message: string): Promise<void>;
  stats(): BatchCounts;
  /** Closes the batch; unfinished requests reject with `ERR_DPM_CLOSED`. Idempotent. */
  close(): Promise<void>;
}

/** Batch for those who have requests, without the answers to its questions. */
export type NativeRequestBatch = Omit<NativeBatch, 'answer' | 'abandon'>;

export interface NativeNetwork {
  readonly info: NativeNetworkInfo;
  /**
   * Evaluates once. `x` is [batch, C, H, W]; `out` receives all output channels; `head` the second output; `tensors`
   * are for a network that has a derivative, or sees more than its image. Typed arrays are copied in and out; device tensors are used in place. Work on one
   * engine runs in call order.
   */
  forward(
    batch: number,
    x: NativeTensorLike,
    t: Float32Array,
    labels: Int32Array | null,
    out: NativeTensorLike,
    head: NativeTensorLike | null,
    tensors?: NativeDerivativeTensors | NativeGivenTensors,
  ): Promise<void>;
  /**
   * Predicts once on device tensors of [batch, C, H, W], with classifier-free guidance if weights are given; `head`
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
  /** Measures the milliseconds of one evaluation at each of these batches (median of `repeats`). */
  measure(batches: Uint32Array, repeats: number): Promise<Float64Array>;
  /** Measures the milliseconds per node of one evaluation (median of `repeats`). */
  profile(batch: number, repeats: number): Promise<{ name: string; milliseconds: number; multiplyAdds: number }[]>;
  /** Lists the nodes of the graph after fusion, in order of evaluation. */
  nodes(): NativeNode[];
  /** Tells which gradients of constants the network computes. */
  gradients(): NativeGradients;
  close(): Promise<void>;
}
