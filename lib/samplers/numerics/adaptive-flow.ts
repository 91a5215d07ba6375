import { at, elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import type { HostContext, Term } from '../../program/host-context.js';
import type { ErrorControl } from '../options.js';

/** Nodes, stage weights, last weights and error weights of Dormand & Prince's method of orders 5 and 4 (1980). */
const nodes = [0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1];
const stages = [
  [],
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
];
const last = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84];
const errorWeights = [-71 / 57600, 0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40];

/** Limits of the change of a step and its safety factor, those of SciPy, which score_sde uses. */
const safety = 0.9;
const [least, most] = [0.2, 10];
const mostSteps = 100_000;

/** Progress of one sample: its time, the step it tries next, and whether its last one was refused. */
interface Progress {
  time: number;
  step: number;
  refused: boolean;
}

/**
 * Change of states with time, at one time per sample: leaves dx/dt in the tensor `target` and returns the change of a number
 * beside each state, null if there is none.
 */
export type Slope = (state: string, times: readonly number[], target: string) => Promise<ArrayLike<number> | null>;

/** Computes the root mean square of `count` numbers of root mean square `norm` and one more. */
function joined(norm: number, count: number, other: number): number {
  return Math.sqrt((norm * norm * count + other * other) / (count + 1));
}

/**
 * Integrator of the tensor `x` of one batch, and perhaps of a number beside each state that begins as 0, along a slope:
 * Dormand and Prince's method, adaptive, as SciPy's RK45. Every sample takes steps of its own, unless the norm is shared.
 */
export class AdaptiveFlow {
  /** Sign of the change of time. */
  readonly #sign: number;
  readonly #elements: number;
  #states: Progress[];
  #numbers: Float64Array | null = null;
  readonly #numberSlopes: Float64Array[] = [];

  constructor(
    private readonly context: HostContext,
    private readonly slope: Slope,
    private readonly control: ErrorControl,
    private readonly from: number,
    private readonly to: number,
  ) {
    this.#sign = Math.sign(to - from);
    this.#elements = elementCount(context.shape) / context.batch;
    this.#states = Array.from({ length: context.batch }, () => ({ time: from, step: 0, refused: false }));
  }

  /** Runs to the end and returns the numbers beside the states, null if there are none. */
  async run(): Promise<Float64Array | null> {
    const { context, from, to } = this;
    const first = await this.#slopeAt(
      'x',
      this.#states.map(() => from),
      0,
    );
    if (first !== null) this.#numbers = new Float64Array(context.batch);
    await this.#chooseFirstStep();
    for (let count = 0; this.#states.some(({ time }) => this.#left(time) > 0); ++count) {
      if (count === mostSteps) {
        throw new DpmError(
          'ERR_DPM_ARGUMENT',
          `rk45 has not come to its end in ${mostSteps} steps: atol and rtol are too small`,
        );
      }
      await this.#advance();
      const furthest = Math.max(...this.#states.map(({ time }) => this.#left(time)));
      context.progress(Math.round(100 * (1 - furthest / Math.abs(to - from))), 100);
    }
    return this.#numbers;
  }

  #left(time: number): number {
    return this.#sign * (this.to - time);
  }

  #tolerance(a: number, b: number): number {
    return this.control.atol + this.control.rtol * Math.max(a, b);
  }

  async #slopeAt(state: string, times: readonly number[], stage: number): Promise<Float64Array | null> {
    const numbers = await this.slope(state, times, `slope ${stage}`);
    if (numbers === null) return null;
    return (this.#numberSlopes[stage] = Float64Array.from(numbers));
  }

  /** Computes one norm per sample of errors of states and, if there are any, of numbers; or, if shared, the root mean square of all. */
  async #norm(
    error: string,
    sizes: readonly [string, string],
    numbers: { errors: Float64Array; sizes: readonly [Float64Array, Float64Array] } | null,
  ): Promise<Float64Array> {
    const norms = await this.context.errorNorm(error, sizes, (a, b) => this.#tolerance(a, b));
    if (numbers !== null) {
      norms.forEach((norm, sample) => {
        const [a, b] = numbers.sizes.map((size) => Math.abs(at(size, sample))) as [number, number];
        norms[sample] = joined(norm, this.#elements, at(numbers.errors, sample) / this.#tolerance(a, b));
      });
    }
    if (!this.control.shared) return norms;
    return norms.fill(Math.sqrt(norms.reduce((sum, norm) => sum + norm * norm, 0) / norms.length));
  }

  /** Computes errors of the numbers, by the sizes of the present ones and of `next`. */
  #ofNumbers(errors: (sample: number) => number, next = this.#numbers) {
    const numbers = this.#numbers;
    if (numbers === null || next === null) return null;
    return { errors: numbers.map((_, sample) => errors(sample)), sizes: [numbers, next] as const };
  }

  #numberSlope(stage: number, sample: number): number {
    return at(at(this.#numberSlopes, stage), sample);
  }

  /** Chooses the first step as Hairer, Norsett and Wanner (Solving Ordinary Differential Equations I, II.4). */
  async #chooseFirstStep(): Promise<void> {
    const { context, from, to } = this;
    const interval = Math.abs(to - from);
    const sizes = await this.#norm(
      'x',
      ['x', 'x'],
      this.#ofNumbers((sample) => at(this.#numbers ?? [], sample)),
    );
    const slopes = await this.#norm(
      'slope 0',
      ['x', 'x'],
      this.#ofNumbers((sample) => this.#numberSlope(0, sample)),
    );
    const trial = sizes.map((size, sample) => {
      const slope = at(slopes, sample);
      return Math.min(size < 1e-5 || slope < 1e-5 ? 1e-6 : (0.01 * size) / slope, interval);
    });
    await context.linearCombination('stage', [
      [1, 'x'],
      [trial.map((step) => this.#sign * step), 'slope 0'],
    ]);
    await this.#slopeAt(
      'stage',
      Array.from(trial, (step) => from + this.#sign * step),
      1,
    );
    await context.linearCombination('error', [
      [1, 'slope 1'],
      [-1, 'slope 0'],
    ]);
    const bends = await this.#norm(
      'error',
      ['x', 'x'],
      this.#ofNumbers((sample) => this.#numberSlope(1, sample) - this.#numberSlope(0, sample)),
    );
    this.#states = this.#states.map((state, sample) => {
      const first = at(trial, sample);
      const steepest = Math.max(at(slopes, sample), at(bends, sample) / first);
      const second = steepest <= 1e-15 ? Math.max(1e-6, first * 1e-3) : (0.01 / steepest) ** (1 / 5);
      return { ...state, step: Math.min(100 * first, second, interval) };
    });
  }

  async #advance(): Promise<void> {
    const { context } = this;
    // Samples at their end stand still.
    const steps = this.#states.map(({ time, step }) => this.#sign * Math.min(step, this.#left(time)));
    const weighted = (weights: readonly number[]): Term[] =>
      weights.map((weight, stage) => [steps.map((step) => step * weight), `slope ${stage}`] as const);
    const ofNumber = (weights: readonly number[], sample: number): number =>
      weights.reduce((sum, weight, stage) => sum + at(steps, sample) * weight * this.#numberSlope(stage, sample), 0);
    for (let stage = 1; stage < nodes.length; ++stage) {
      await context.linearCombination('stage', [[1, 'x'], ...weighted(at(stages, stage))]);
      const times = this.#states.map(({ time }, sample) => time + at(nodes, stage) * at(steps, sample));
      await this.#slopeAt('stage', times, stage);
    }
    await context.linearCombination('next', [[1, 'x'], ...weighted(last)]);
    await this.#slopeAt(
      'next',
      this.#states.map(({ time }, sample) => time + at(steps, sample)),
      6,
    );
    await context.linearCombination('error', weighted(errorWeights));
    const next = this.#numbers?.map((number, sample) => number + ofNumber(last, sample)) ?? null;
    const errors = this.#ofNumbers((sample) => ofNumber(errorWeights, sample), next);
    await this.#decide(steps, next, await this.#norm('error', ['x', 'next'], errors));
  }

  async #decide(steps: readonly number[], next: Float64Array | null, errors: Float64Array): Promise<void> {
    const { context, to } = this;
    const isAccepted = this.#states.map(({ time }, sample) => this.#left(time) > 0 && at(errors, sample) < 1);
    const accepted = isAccepted.map(Number);
    const replace = (name: string, by: string) =>
      context.linearCombination(name, [
        [accepted.map((each) => 1 - each), name],
        [accepted, by],
      ]);
    await replace('x', 'next');
    await replace('slope 0', 'slope 6');
    isAccepted.forEach((is, sample) => {
      if (!is || next === null || this.#numbers === null) return;
      this.#numbers[sample] = at(next, sample);
      at(this.#numberSlopes, 0)[sample] = this.#numberSlope(6, sample);
    });
    this.#states = this.#states.map((state, sample) => {
      const left = this.#left(state.time);
      if (left <= 0) return state;
      const error = at(errors, sample);
      const change = error === 0 ? most : Math.min(Math.max(safety * error ** (-1 / 5), least), most);
      const step = Math.abs(at(steps, sample));
      if (!at(isAccepted, sample)) return { ...state, step: step * Math.min(change, 1), refused: true };
      // The last step ends exactly at the end, without rounding errors.
      const time = state.step >= left ? to : state.time + this.#sign * state.step;
      return { time, step: step * (state.refused ? Math.min(change, 1) : change), refused: false };
    });
  }
}
