// A host context that computes every primitive once more in float64 from the tensors as they lie on the device, and keeps
// the largest difference: a host program has no records to compare.
import type { DeviceTensor } from '../../lib/engine/device.js';
import type { HostContext, Reduction, Term } from '../../lib/program/host-context.js';
import type { HostProgram } from '../../lib/program/program.js';
import type { Clip } from '../../lib/program/record.js';
import { DeviceHostContext } from '../../lib/run/device-context.js';
import type { Evaluator } from '../../lib/run/evaluator.js';
import { clipped } from './interpreter.js';
import { normals } from './philox.js';

type PerSample = number | ArrayLike<number>;

const valueOf = (value: PerSample, sample: number): number => (typeof value === 'number' ? value : value[sample]!);

class CheckedContext implements HostContext {
  readonly batch: number;
  readonly shape: readonly number[];
  readonly signal = undefined;
  readonly primitives = new Set<string>();
  worst = 0;
  readonly #context: DeviceHostContext;
  readonly #elements: number;
  #probed: Float32Array | null = null;
  #probing = false;

  constructor(
    x: DeviceTensor,
    private readonly seed: number,
    private readonly predict: Evaluator,
  ) {
    this.#context = new DeviceHostContext({
      evaluator: {
        evaluate: (...request) => this.#evaluate(...request),
        pushForward: (...request) => predict.pushForward!(...request),
        pullBack: (...request) => predict.pullBack!(...request),
      },
      x,
      seed,
      firstSample: 0,
      noise: null,
      signal: undefined,
      onProgress: undefined,
    });
    this.batch = this.#context.batch;
    this.shape = this.#context.shape;
    this.#elements = x.elements / this.batch;
  }

  read(name: string): Promise<Float32Array> {
    return this.#context.read(name);
  }

  throwIfAborted(): void {
    this.#context.throwIfAborted();
  }

  async evaluate(input: string, time: PerSample, output: string, head?: string): Promise<void> {
    this.primitives.add('evaluate');
    await this.#context.evaluate(input, time, output, head);
  }

  pushForward(...request: Parameters<HostContext['pushForward']>): Promise<void> {
    return this.#context.pushForward(...request);
  }

  pullBack(...request: Parameters<HostContext['pullBack']>): Promise<void> {
    return this.#context.pullBack(...request);
  }

  apply(...request: Parameters<HostContext['apply']>): Promise<void> {
    return this.#context.apply(...request);
  }

  async linearCombination(target: string, terms: readonly Term[], clip: Clip = { kind: 'none' }): Promise<void> {
    this.primitives.add(clip.kind === 'none' ? 'linearCombination' : `linearCombination, ${clip.kind}`);
    const sources: Float32Array[] = [];
    for (const [, name] of terms) sources.push(await this.#read(name));
    const expected = this.#perSample((sample, first) => {
      const sum = Float64Array.from({ length: this.#elements }, (_, i) =>
        terms.reduce((all, [coefficient], k) => all + valueOf(coefficient, sample) * sources[k]![first + i]!, 0),
      );
      return clipped(clip, sum);
    });
    await this.#context.linearCombination(target, terms, clip);
    // Float32 rounds the products, which may be larger than their sum.
    const largest = terms.map(([coefficient], k) => {
      const size = Math.max(
        ...Array.from({ length: this.batch }, (_, sample) => Math.abs(valueOf(coefficient, sample))),
      );
      return size * sources[k]!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    });
    this.#compare(await this.#read(target), expected, Math.max(1, ...largest));
  }

  async noise(target: string, record: number, draw = 0): Promise<void> {
    this.primitives.add('noise');
    await this.#context.noise(target, record, draw);
    const expected = this.#perSample((sample) =>
      normals({ seed: [this.seed, 0], sampleIndex: sample, record, draw }, this.#elements),
    );
    this.#compare(await this.#read(target), expected);
  }

  async reduce(kind: Reduction, a: string, b?: string): Promise<Float64Array> {
    this.primitives.add(`reduce ${kind}`);
    const found = await this.#context.reduce(kind, a, b);
    const first = await this.#read(a);
    const second = b === undefined ? null : await this.#read(b);
    found.forEach((value, sample) => {
      const part = Array.from(first.subarray(sample * this.#elements, (sample + 1) * this.#elements));
      const terms = {
        sum: part,
        'sum-squares': part.map((each) => each * each),
        dot: part.map((each, i) => each * (second?.[sample * this.#elements + i] ?? 0)),
        'max-abs': [Math.max(...part.map(Math.abs))],
      }[kind];
      const scale = Math.max(1, ...terms.map(Math.abs)) * terms.length;
      this.worst = Math.max(this.worst, Math.abs(value - terms.reduce((sum, each) => sum + each, 0)) / scale);
    });
    return found;
  }

  async errorNorm(
    error: string,
    sizes: readonly [string, string],
    tolerance: (a: number, b: number) => number,
  ): Promise<Float64Array> {
    this.primitives.add('errorNorm');
    const found = await this.#context.errorNorm(error, sizes, tolerance);
    const [e, a, b] = [await this.#read(error), await this.#read(sizes[0]), await this.#read(sizes[1])];
    const expected = this.#perSample((_, first) => {
      const ratios = Array.from({ length: this.#elements }, (_unused, i) => {
        const at = first + i;
        return e[at]! / tolerance(Math.abs(a[at]!), Math.abs(b[at]!));
      });
      return [Math.sqrt(ratios.reduce((sum, ratio) => sum + ratio * ratio, 0) / ratios.length)];
    });
    this.#compare(found, expected);
    return found;
  }

  progress(): void {
    this.primitives.add('progress');
  }

  release(): void {
    this.#context.release();
  }

  #perSample(values: (sample: number, first: number) => ArrayLike<number>): number[] {
    const samples = Array.from({ length: this.batch }, (_, sample) => values(sample, sample * this.#elements));
    return samples.flatMap((each) => Array.from(each));
  }

  /** Relative to `scale`, by default the largest value, or 1 where that is smaller. */
  #compare(found: ArrayLike<number>, expected: readonly number[], scale?: number): void {
    const size = scale ?? Math.max(1, ...expected.map(Math.abs));
    const error = Math.max(...expected.map((value, i) => Math.abs(found[i]! - value)));
    this.worst = Math.max(this.worst, error / size);
  }

  /** A tensor by its name, which only the network sees: it is asked to look. */
  async #read(name: string): Promise<Float32Array> {
    this.#probing = true;
    await this.#context.evaluate(name, 0, 'probe');
    this.#probing = false;
    return this.#probed!;
  }

  async #evaluate(...request: Parameters<Evaluator['evaluate']>): Promise<void> {
    if (this.#probing) this.#probed = await request[0].read();
    else await this.predict.evaluate(...request);
  }
}

/** Runs a host program on `x` and says how far its primitives are from float64, and which ones it used. */
export async function checkedRun(
  program: HostProgram,
  x: DeviceTensor,
  seed: number,
  predict: Evaluator,
): Promise<{ worst: number; primitives: ReadonlySet<string> }> {
  const context = new CheckedContext(x, seed, predict);
  await program.run(context).finally(() => {
    context.release();
  });
  return context;
}
