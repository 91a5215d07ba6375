import { elementCount } from '../base/arrays.js';
import { unknownName, wrongValue } from '../base/checks.js';
import { Closing } from '../base/closing.js';
import { DpmError, nativeWork, toDpmError } from '../base/errors.js';
import { requireMemory } from '../base/memory-budget.js';
import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import {
  checkOptions,
  instanceOf,
  kinds,
  nameOf,
  type OptionKinds,
  requireKind,
  withSchema,
} from '../base/option-kinds.js';
import { native } from './addon.js';
import type { NativeTensor } from './binding.js';
import type { NativeEngine } from './native-engine.js';

/** One device the process knows about, usable or not. */
export interface DeviceInfo {
  /** Name: `cpu`, `cuda:0`, … */
  name: string;
  /** True if it can be opened here. */
  usable: boolean;
  /** Preference among usable devices. */
  score: number;
  /** Instruction set, card, …; empty if unusable. */
  description: string;
  /** Reason why it cannot be used, with the places searched; empty if usable. */
  reason: string;
}

/**
 * Number format of weights and activations inside the network, with float32 sums and statistics; states are always
 * float32.
 */
export type ComputeType = (typeof computeTypes)[number];

/** Every {@link ComputeType}. */
export const computeTypes = ['f32', 'bf16', 'f16'] as const;

const MOST_THREADS = 1024;

/** Options of a device: which one is opened, and how it computes. */
export interface DeviceOptions {
  /** Name: `auto` (the best usable device), `cpu`, `cuda` (= `cuda:0`), `cuda:N`, … Default `auto`. */
  device?: string | undefined;
  /**
   * Number format. Default `f32` on cpu, `bf16` on cuda (`f32` with `exact`, `tf32`). `bf16` on cpu: AVX512-BF16 or
   * AMX.
   */
  dtype?: ComputeType | undefined;
  /** Number of threads of the engine; 0: as many as there are cores. Default 0. */
  threads?: number | undefined;
  /**
   * Switch for the tightest tolerance of one prediction or derivative, to compare implementations: no Winograd, no
   * split into bfloat16 terms, no TF32. Whole runs gain nothing (docs/samplers.md): samplers amplify the last bits
   * beyond it. Default false.
   */
  exact?: boolean | undefined;
  /** Switch for dtype `f32` on cuda: products may round their operands to TF32, several times as fast. Default false. */
  tf32?: boolean | undefined;
  /**
   * Switch for cuda: measures several algorithms for every convolution and keeps the fastest, for this process and the
   * next ones (in `$XDG_CACHE_HOME/dpm-native`). The first use of a batch size then takes minutes. Default false.
   */
  autotune?: boolean | undefined;
}

/** Bytes in use: of the engine in main memory, on its device, and the peak on the device. */
export interface MemoryUse {
  /** Bytes in main memory. */
  host: number;
  /** Bytes on the device; 0 on the cpu, whose memory is the host's. */
  device: number;
  /** Peak number of bytes on the device. */
  peakDevice: number;
}

/** Counts of a card's work since it was opened. */
export interface DeviceStatistics {
  /** Number of captured CUDA graphs. */
  capturedGraphs: number;
  /** Number of captures that failed; their work was queued piece by piece. */
  failedCaptures: number;
  /** Number of kernels and copies in the graph that was captured last. */
  graphNodes: number;
  /** Number of plans that cuDNN made. */
  plans: number;
  /** Number of products left to kernels of the package, which are slower. */
  refusedPlans: number;
  /** Seconds spent in making and measuring plans. */
  planningSeconds: number;
}

/**
 * Lists all known devices, and for each unusable one the reason.
 *
 * @throws {@link DpmError} `ERR_DPM_ADDON` if there is no native build.
 */
export function devices(): DeviceInfo[] {
  try {
    return native().devices();
  } catch (error) {
    throw toDpmError(error);
  }
}

/** Chooses the name of a usable device for a request such as `auto` or `cuda`. */
export function chooseDevice(request: string, known: readonly DeviceInfo[]): string {
  if (request === 'auto') {
    const usable = known.filter((each) => each.usable);
    const [first, ...others] = usable;
    if (first === undefined) throw new DpmError('ERR_DPM_DEVICE', 'no device is usable; dpm devices says why');
    return others.reduce((best, each) => (each.score > best.score ? each : best), first).name;
  }
  const name = request === 'cuda' ? 'cuda:0' : request;
  const found = known.find((each) => each.name === name);
  if (found === undefined) {
    throw new DpmError(
      'ERR_DPM_DEVICE',
      `device '${request}' is unknown; known: auto, ${known.map((each) => each.name).join(', ')}`,
    );
  }
  if (!found.usable) throw new DpmError('ERR_DPM_DEVICE', `device '${request}' cannot be used: ${found.reason}`);
  return name;
}

/** Facts about each option of {@link DeviceOptions}. */
export const deviceOptionFacts = {
  device: {
    kind: kinds.string,
    help: 'auto (the best that can be used), cpu, cuda, cuda:N',
    standard: 'auto',
    value: 'NAME',
  },
  dtype: {
    kind: nameOf(computeTypes),
    help: computeTypes.join(', '),
    otherwise: 'f32 on cpu, bf16 on cuda',
    value: 'TYPE',
  },
  threads: {
    kind: withSchema(kinds.number, { type: 'integer', minimum: 0, maximum: MOST_THREADS }),
    help: 'threads of the engine, 0: as many as there are cores',
    standard: 0,
    value: 'N',
  },
  exact: { kind: kinds.boolean, help: 'tightest arithmetic: no Winograd, no split floats, no TF32', standard: false },
  tf32: {
    kind: kinds.boolean,
    help: 'with dtype f32 on cuda: products may round to TF32, several times as fast',
    standard: false,
  },
  autotune: {
    kind: kinds.boolean,
    help: 'on cuda: measure several algorithms for every convolution and remember the fastest',
    standard: false,
  },
} as const satisfies OptionFacts<DeviceOptions>;

/** Kind of each option of {@link DeviceOptions}. */
export const deviceOptionKinds: OptionKinds<DeviceOptions> = kindsOf<DeviceOptions>(deviceOptionFacts);

const defaults = standardsOf(deviceOptionFacts);

function checkValues({ dtype = 'f32', threads = defaults.threads, exact, tf32 }: DeviceOptions): void {
  if (exact === true && tf32 === true) throw new DpmError('ERR_DPM_ARGUMENT', 'tf32 contradicts exact');
  if (!computeTypes.includes(dtype)) throw unknownName('dtype', dtype, computeTypes);
  if (!Number.isInteger(threads) || threads < 0 || threads > MOST_THREADS) {
    throw new DpmError('ERR_DPM_ARGUMENT', `threads is ${threads}, it has to be an integer from 0 to ${MOST_THREADS}`);
  }
}

/** Device that is open, with its own engine threads. Close it when done. */
export class Device {
  /** @internal */
  readonly engine: NativeEngine;
  readonly #closing = new Closing('device');

  private constructor(engine: NativeEngine) {
    this.engine = engine;
  }

  /**
   * Opens a device.
   *
   * @throws {@link DpmError} `ERR_DPM_DEVICE` if it is unknown or cannot be used, `ERR_DPM_UNSUPPORTED` if it cannot
   * compute in `dtype`, `ERR_DPM_ADDON` without a native build.
   *
   * @example
   * ```ts
   * await using device = Device.open({ device: 'cpu', threads: 2 });
   * ```
   */
  static open(options: DeviceOptions = {}): Device {
    checkOptions('Device.open', options, deviceOptionKinds);
    checkValues(options);
    const { device = defaults.device, threads = defaults.threads } = options;
    const { exact = defaults.exact, tf32 = defaults.tf32, autotune = defaults.autotune } = options;
    // A named device is examined alone: listing all devices starts the driver of a card.
    const name = device === 'auto' ? chooseDevice(device, devices()) : device === 'cuda' ? 'cuda:0' : device;
    try {
      const { Engine } = native();
      const dtype = options.dtype ?? (name.startsWith('cuda') && !exact && !tf32 ? 'bf16' : 'f32');
      return new Device(new Engine({ device: name, dtype, threads, exact, tf32, autotune }));
    } catch (error) {
      const failure = toDpmError(error);
      if (failure.code === 'ERR_DPM_DEVICE') chooseDevice(device, devices());
      throw failure;
    }
  }

  /** Name: `cpu`, `cuda:0`, … */
  get name(): string {
    return this.engine.device;
  }

  /** Description for people: instruction set or card. */
  get description(): string {
    return this.engine.description;
  }

  /** Number of threads that the engine computes with. */
  get threads(): number {
    return this.engine.threads;
  }

  /** Makes a float32 tensor on this device. Its contents are undefined until written. */
  tensor(shape: readonly number[]): DeviceTensor {
    return DeviceTensor.on(this, shape);
  }

  /** Bytes in use now, and the peak on the device. */
  memory(): MemoryUse {
    return this.engine.memory();
  }

  /**
   * Releases memory that a card keeps for the next run, up to an eighth of the card, so that other programs can use it;
   * the next run allocates it again. Waits for work that was requested before. Does nothing on the cpu.
   *
   * @throws {@link DpmError} `ERR_DPM_CLOSED` once the device is closed, `ERR_DPM_DEVICE` if the card has failed.
   */
  async trim(): Promise<void> {
    await nativeWork(() => this.engine.trim());
  }

  /** Statistics of a card; null on the cpu, and once the device is closed. */
  statistics(): DeviceStatistics | null {
    return this.engine.statistics();
  }

  /** Waits for a caller's function; rejects with `ERR_DPM_CLOSED` as soon as the device is closed. @internal */
  whileOpen<T>(work: () => T | Promise<T>): Promise<T> {
    return this.#closing.during(work);
  }

  /**
   * Rejects queued work and waits for functions written in JavaScript; lets running work end and releases everything.
   * Can be called again.
   */
  async close(): Promise<void> {
    this.#closing.close();
    await nativeWork(() => this.engine.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Kind of an open device. */
export const deviceKind = instanceOf('an open Device', Device);

/** Maximum number of elements: tensors count them in 32 bits. */
const MOST_ELEMENTS = 2 ** 32 - 1;

/** Refuses a shape with too many elements for a tensor, or for the memory. */
function requireElements(shape: readonly number[]): void {
  const elements = elementCount(shape);
  const shown = `shape is [${shape.slice(0, 8).join(', ')}${shape.length > 8 ? ', ...' : ''}]`;
  if (elements > MOST_ELEMENTS) {
    throw new DpmError('ERR_DPM_OUT_OF_MEMORY', `${shown}: a tensor has at most ${MOST_ELEMENTS} elements`);
  }
  requireMemory(shown, elements, Float32Array.BYTES_PER_ELEMENT);
}

/** Tensor of float32 numbers in a device's memory, of `Device.tensor`; released by `free` or when collected. */
export class DeviceTensor {
  /** Sizes, outermost first; row-major. */
  readonly shape: readonly number[];
  /** Device whose memory holds the tensor. */
  readonly device: Device;
  /** @internal */
  readonly native: NativeTensor;

  private constructor(device: Device, shape: readonly number[]) {
    requireKind('shape', shape, kinds.sizes);
    if (shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
      throw wrongValue('shape', shape, 'an array of positive integers');
    }
    requireElements(shape);
    this.shape = [...shape];
    this.device = device;
    try {
      this.native = device.engine.tensor(elementCount(shape));
    } catch (error) {
      throw toDpmError(error);
    }
  }

  /** @internal */
  static on(device: Device, shape: readonly number[]): DeviceTensor {
    return new DeviceTensor(device, shape);
  }

  /** Product of the sizes. */
  get elements(): number {
    return this.native.elements;
  }

  /**
   * Copies values to the device.
   *
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if `data` has another number of elements.
   */
  async write(data: Float32Array): Promise<void> {
    this.#checkLength(data);
    await nativeWork(() => this.device.engine.write(this.native, data));
  }

  /** Copies the values to `into`. Default: a new array. */
  async read(into: Float32Array = new Float32Array(this.elements)): Promise<Float32Array> {
    this.#checkLength(into);
    await nativeWork(() => this.device.engine.read(this.native, into));
    return into;
  }

  /** Releases the memory at once. Can be called again; any other use of the tensor is an error then. */
  free(): void {
    this.native.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }

  #checkLength(data: Float32Array): void {
    requireKind('data', data, kinds.floats);
    if (data.length !== this.elements) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `a tensor [${this.shape.join(', ')}] has ${this.elements} elements, the array ${data.length}`,
      );
    }
  }
}
