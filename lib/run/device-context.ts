import { throwIfAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError, nativeWork } from '../base/errors.js';
import { arrayOf, kinds, numberOrNumbers, requireKind } from '../base/option-kinds.js';
import type { DeviceTensor } from '../engine/device.js';
import { packedUpdate, type NoiseStream } from '../engine/update.js';
import { linear, stepRecord } from '../program/builder.js';
import type { HostContext, Reduction, Term } from '../program/host-context.js';
import { packRecord, RECORD_BYTES } from '../program/pack.js';
import { MAX_HISTORY, type Clip, type StepRecord } from '../program/record.js';
import { validateClip } from '../program/validate.js';
import type { Evaluator } from './evaluator.js';
import { runDefaults } from './options.js';

export interface HostRun {
  evaluator: Evaluator;
  /** The initial state. */
  x: DeviceTensor;
  seed: number | bigint;
  /** Index of the batch's first sample among all samples of the run. */
  firstSample: number;
  /** Explicit noise for the samples of the batch, a slice for every draw. */
  noise: { next(): Float32Array } | null;
  signal: AbortSignal | undefined;
  onProgress: ((done: number, total: number) => void) | undefined;
  /** Evaluations between two previews; absent: 1. */
  previewEvery?: number;
  onPreview?: ((evaluation: number, states: Float32Array) => void) | undefined;
}

/** Number of terms of one fused update beside its target: `y` and the history slots above 0; its own slot is new. */
const TERMS_PER_UPDATE = MAX_HISTORY;

const reductions: readonly Reduction[] = ['sum', 'sum-squares', 'dot', 'max-abs'];

function perSample(value: number | ArrayLike<number>, sample: number): number {
  return typeof value === 'number' ? value : at(value, sample);
}

function notANumber(tensor: string, sample: number): DpmError {
  return new DpmError(
    'ERR_DPM_ARGUMENT',
    `the norm of '${tensor}' of sample ${sample} is NaN: adaptive steps need initial states and predictions that are finite numbers`,
  );
}

/** The context of one batch, on any device and for any evaluator. */
export class DeviceHostContext implements HostContext {
  readonly batch: number;
  readonly shape: readonly number[];
  readonly signal: AbortSignal | undefined;
  readonly #run: HostRun;
  readonly #tensors = new Map<string, DeviceTensor>();
  #evaluations = 0;

  constructor(run: HostRun) {
    this.#run = run;
    this.shape = run.x.shape;
    this.batch = at(run.x.shape, 0);
    this.signal = run.signal;
    this.#tensors.set('x', run.x);
  }

  throwIfAborted(): void {
    throwIfAborted(this.signal);
  }

  async evaluate(input: string, time: number | ArrayLike<number>, output: string, head?: string): Promise<void> {
    this.throwIfAborted();
    const times = this.#times('the time of evaluate', time);
    const second = head === undefined ? null : await this.#tensor(head);
    await this.#run.evaluator.evaluate(await this.#tensor(input), times, await this.#tensor(output), second);
    await this.#preview();
  }

  async pushForward(
    input: string,
    time: number | ArrayLike<number>,
    tangent: string,
    output: string,
    outputTangent: string,
  ): Promise<void> {
    await this.#derivative('pushForward', input, time, [tangent, output, outputTangent]);
  }

  async pullBack(
    input: string,
    time: number | ArrayLike<number>,
    cotangent: string,
    output: string,
    inputCotangent: string,
  ): Promise<void> {
    await this.#derivative('pullBack', input, time, [cotangent, output, inputCotangent]);
  }

  async #derivative(
    kind: 'pushForward' | 'pullBack',
    input: string,
    time: number | ArrayLike<number>,
    [direction, output, derivative]: readonly [string, string, string],
  ): Promise<void> {
    this.throwIfAborted();
    const times = this.#times(`the time of ${kind}`, time);
    const tensors = [
      await this.#tensor(direction),
      await this.#tensor(output),
      await this.#tensor(derivative),
    ] as const;
    const { evaluator } = this.#run;
    const states = await this.#tensor(input);
    const done = evaluator[kind]?.(states, times, ...tensors);
    if (done === undefined) {
      throw new DpmError('ERR_DPM_UNSUPPORTED', `${kind} needs a network: this model has no derivative`);
    }
    await done;
    await this.#preview();
  }

  /** One time per sample, checked. */
  #times(name: string, time: number | ArrayLike<number>): Float32Array {
    this.#requirePerSample(name, time);
    const times = Float32Array.from({ length: this.batch }, (_, sample) => perSample(time, sample));
    if (!times.every(Number.isFinite)) throw wrongValue(name, time, 'finite numbers');
    return times;
  }

  async #preview(): Promise<void> {
    const { onPreview, previewEvery = runDefaults.previewEvery } = this.#run;
    if (++this.#evaluations % previewEvery === 0) onPreview?.(this.#evaluations, await this.read('x'));
  }

  async read(name: string): Promise<Float32Array> {
    this.throwIfAborted();
    return (await this.#tensor(name)).read();
  }

  /** Replaces the values of a tensor; makes the tensor if there is none. */
  async write(name: string, values: Float32Array): Promise<void> {
    await (await this.#tensor(name)).write(values);
  }

  async linearCombination(target: string, terms: readonly Term[], clip: Clip = { kind: 'none' }): Promise<void> {
    this.throwIfAborted();
    requireKind('the terms', terms, arrayOf('an array of [coefficient, name]', kinds.list));
    requireKind('clip', clip, kinds.object);
    validateClip('clip', clip);
    for (const [coefficient] of terms) this.#requirePerSample('a coefficient', coefficient);
    const destination = await this.#tensor(target);
    const others = terms.filter(([, name]) => name !== target);
    const keep = terms.filter(([, name]) => name === target).map(([coefficient]) => coefficient);
    for (let first = 0; first === 0 || first < others.length; first += TERMS_PER_UPDATE) {
      const group = others.slice(first, first + TERMS_PER_UPDATE);
      const sources = await Promise.all(group.map(([, name]) => this.#tensor(name)));
      await this.#update(destination, sources, (sample) => {
        const coefficients = group.map(([coefficient]) => perSample(coefficient, sample));
        const own = keep.reduce<number>((sum, coefficient) => sum + perSample(coefficient, sample), 0);
        const [y = 0, ...history] = coefficients;
        return stepRecord({ time: 0, x: linear({ x: first > 0 ? 1 : own, y, history: [0, ...history] }) });
      });
    }
    if (clip.kind !== 'none') {
      const record = stepRecord({
        time: 0,
        prediction: { input: 1, output: 0 },
        clip,
        store: { slot: 0, input: 0, data: 1 },
        x: linear({ history: [1] }),
      });
      await this.#update(destination, [], () => record);
    }
  }

  async noise(target: string, record: number, draw = 0): Promise<void> {
    this.throwIfAborted();
    const destination = await this.#tensor(target);
    const slice = this.#run.noise?.next();
    if (slice !== undefined) {
      await destination.write(slice);
      return;
    }
    const unit = stepRecord({ time: 0, x: linear({}), variance: { kind: 'scalar', deviation: 1 } });
    await this.#update(destination, [], () => unit, { record, draw });
  }

  async apply(target: string, sources: readonly string[], each: (...values: number[]) => number): Promise<void> {
    this.throwIfAborted();
    requireKind('sources', sources, arrayOf('the names of tensors', kinds.string));
    requireKind('each', each, kinds.function);
    const read: Float32Array[] = [];
    for (const name of sources) read.push(await this.read(name));
    const destination = await this.#tensor(target);
    const values = Float32Array.from({ length: destination.elements }, (_, i) => {
      const value: unknown = each(...read.map((source) => at(source, i)));
      if (typeof value !== 'number') throw wrongValue('what the function of apply returned', value, 'a number');
      return value;
    });
    await destination.write(values);
  }

  async reduce(kind: Reduction, a: string, b?: string): Promise<Float64Array> {
    this.throwIfAborted();
    if (!reductions.includes(kind)) throw unknownName('the reduction', kind, reductions);
    if ((kind === 'dot') !== (b !== undefined)) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `the reduction '${kind}' takes ${kind === 'dot' ? 'two tensors' : 'one tensor'}`,
      );
    }
    const first = await this.#tensor(a);
    const second = b === undefined ? null : await this.#tensor(b);
    const elements = first.elements / this.batch;
    return nativeWork(() =>
      first.device.engine.reduce(kind, this.batch, elements, first.native, second?.native ?? null),
    );
  }

  async errorNorm(
    error: string,
    sizes: readonly [a: string, b: string],
    tolerance: (a: number, b: number) => number,
  ): Promise<Float64Array> {
    this.throwIfAborted();
    requireKind('tolerance', tolerance, kinds.function);
    requireKind('sizes', sizes, arrayOf('the names of two tensors', kinds.string));
    const [a, b] = sizes;
    const [errors, first, second] = [await this.read(error), await this.read(a), await this.read(b)];
    const elements = errors.length / this.batch;
    return Float64Array.from({ length: this.batch }, (_, sample) => {
      let sum = 0;
      for (let i = sample * elements; i < (sample + 1) * elements; ++i) {
        const allowed: unknown = tolerance(Math.abs(at(first, i)), Math.abs(at(second, i)));
        if (typeof allowed !== 'number') throw wrongValue('what tolerance returned', allowed, 'a number');
        sum += (at(errors, i) / allowed) ** 2;
      }
      const norm = Math.sqrt(sum / elements);
      if (Number.isNaN(norm)) throw notANumber(error, this.#run.firstSample + sample);
      return norm;
    });
  }

  progress(done: number, total: number): void {
    for (const [name, value] of Object.entries({ done, total })) requireKind(name, value, kinds.number);
    this.#run.onProgress?.(done, total);
  }

  /** Releases every tensor except `x`. */
  release(): void {
    for (const [name, tensor] of this.#tensors) if (name !== 'x') tensor.free();
  }

  #requirePerSample(name: string, value: number | ArrayLike<number>): void {
    requireKind(name, value, numberOrNumbers);
    if (typeof value === 'number') return;
    const own = Array.from({ length: this.batch }, (_, sample) => value[sample]);
    if (own.every((each) => typeof each === 'number')) return;
    throw wrongValue(name, value, `a number, or one for each of ${this.batch} samples`);
  }

  async #tensor(name: string): Promise<DeviceTensor> {
    requireKind('the name of a tensor', name, kinds.string);
    const known = this.#tensors.get(name);
    if (known !== undefined) return known;
    const created = this.#run.x.device.tensor(this.shape);
    this.#tensors.set(name, created);
    await created.write(new Float32Array(created.elements));
    return created;
  }

  async #update(
    target: DeviceTensor,
    sources: readonly DeviceTensor[],
    recordOf: (sample: number) => StepRecord,
    stream: { record: number; draw: number } = { record: 0, draw: 0 },
  ): Promise<void> {
    const packed = new Uint8Array(this.batch * RECORD_BYTES);
    const streams: NoiseStream[] = [];
    for (let sample = 0; sample < this.batch; ++sample) {
      packed.set(packRecord(recordOf(sample), false), sample * RECORD_BYTES);
      streams.push({ seed: this.#run.seed, sampleIndex: this.#run.firstSample + sample, ...stream });
    }
    const [y = null, ...history] = sources;
    await packedUpdate(packed, { x: target, y, history: [null, ...history] }, streams);
  }
}
