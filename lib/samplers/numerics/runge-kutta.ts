import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import type { HostContext, Term } from '../../program/host-context.js';
import type { HostProgram } from '../../program/program.js';
import { continuousInterval } from '../../schedule/trajectory.js';
import type { SamplerOptions } from '../options.js';
import { errorControl, type ErrorControl } from './error-control.js';
import { evaluateNoise } from './host-evaluation.js';
import type { EvaluationOptions } from './evaluation.js';
import { noiseLevel } from '../../schedule/noise-level.js';

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

/** Limits of the change of a step and its safety factor, those of SciPy, which the authors of score_sde call. */
const safety = 0.9;
const [least, most] = [0.2, 10];
const mostSteps = 100_000;

/** Where one sample is, the step it tries next, and whether its last one was refused. */
interface Progress {
  time: number;
  step: number;
  refused: boolean;
}

/** The probability flow of one batch from `start` down to `end`. */
class FlowRun {
  #states: Progress[];
  readonly #tolerance: (a: number, b: number) => number;

  constructor(
    private readonly context: HostContext,
    private readonly options: EvaluationOptions,
    private readonly control: ErrorControl,
    private readonly start: number,
    private readonly end: number,
  ) {
    this.#states = Array.from({ length: context.batch }, () => ({ time: start, step: 0, refused: false }));
    this.#tolerance = (a, b) => control.atol + control.rtol * Math.max(a, b);
  }

  async run(): Promise<void> {
    const { context, start, end } = this;
    await this.#slope(
      'x',
      this.#states.map(() => start),
      'slope 0',
    );
    await this.#chooseFirstStep();
    for (let count = 0; this.#states.some(({ time }) => time > end); ++count) {
      if (count === mostSteps) {
        throw new DpmError(
          'ERR_DPM_ARGUMENT',
          `rk45 has not come to its end in ${mostSteps} steps: atol and rtol are too small`,
        );
      }
      await this.#advance();
      const furthest = Math.max(...this.#states.map(({ time }) => time));
      context.progress(Math.round((100 * (start - furthest)) / (start - end)), 100);
    }
  }

  /** dx/dt = -rate / 2 x + diffusion / (2 sigma) eps at one time per sample. */
  async #slope(state: string, times: readonly number[], target: string): Promise<void> {
    const { schedule } = this.options;
    const levels = times.map((time) => noiseLevel(schedule, time));
    await evaluateNoise(this.context, this.options, levels, state, 'noise');
    await this.context.linearCombination(target, [
      [levels.map(({ time }) => -0.5 * schedule.rate(time)), state],
      [levels.map(({ time, sigma }) => (0.5 * schedule.diffusion(time)) / sigma), 'noise'],
    ]);
  }

  /** One norm per sample, or the root mean square of them all where they are shared. */
  #shared(norms: Float64Array): Float64Array {
    if (!this.control.shared) return norms;
    return norms.fill(Math.sqrt(norms.reduce((sum, norm) => sum + norm * norm, 0) / norms.length));
  }

  async #norm(error: string, sizes: readonly [string, string]): Promise<Float64Array> {
    return this.#shared(await this.context.errorNorm(error, sizes, this.#tolerance));
  }

  /** Hairer, Norsett and Wanner's choice (Solving Ordinary Differential Equations I, section II.4). */
  async #chooseFirstStep(): Promise<void> {
    const { context, start, end } = this;
    const interval = start - end;
    const sizes = await this.#norm('x', ['x', 'x']);
    const slopes = await this.#norm('slope 0', ['x', 'x']);
    const trial = sizes.map((size, sample) => {
      const slope = at(slopes, sample);
      return Math.min(size < 1e-5 || slope < 1e-5 ? 1e-6 : (0.01 * size) / slope, interval);
    });
    await context.linearCombination('stage', [
      [1, 'x'],
      [trial.map((step) => -step), 'slope 0'],
    ]);
    await this.#slope(
      'stage',
      Array.from(trial, (step) => start - step),
      'slope 1',
    );
    await context.linearCombination('error', [
      [1, 'slope 1'],
      [-1, 'slope 0'],
    ]);
    const bends = await this.#norm('error', ['x', 'x']);
    this.#states = this.#states.map((state, sample) => {
      const first = at(trial, sample);
      const steepest = Math.max(at(slopes, sample), at(bends, sample) / first);
      const second = steepest <= 1e-15 ? Math.max(1e-6, first * 1e-3) : (0.01 / steepest) ** (1 / 5);
      return { ...state, step: Math.min(100 * first, second, interval) };
    });
  }

  async #advance(): Promise<void> {
    const { context, end } = this;
    // A sample at its end stands still.
    const steps = this.#states.map(({ time, step }) => Math.min(step, time - end));
    const weighted = (weights: readonly number[]): Term[] =>
      weights.map((weight, stage) => [steps.map((step) => -step * weight), `slope ${stage}`] as const);
    for (let stage = 1; stage < nodes.length; ++stage) {
      await context.linearCombination('stage', [[1, 'x'], ...weighted(at(stages, stage))]);
      const times = this.#states.map(({ time }, sample) => time - at(nodes, stage) * at(steps, sample));
      await this.#slope('stage', times, `slope ${stage}`);
    }
    await context.linearCombination('next', [[1, 'x'], ...weighted(last)]);
    await this.#slope(
      'next',
      this.#states.map(({ time }, sample) => time - at(steps, sample)),
      'slope 6',
    );
    await context.linearCombination('error', weighted(errorWeights));
    await this.#decide(steps, await this.#norm('error', ['x', 'next']));
  }

  async #decide(steps: readonly number[], errors: Float64Array): Promise<void> {
    const { context, end } = this;
    const accepted = this.#states.map(({ time }, sample) => (time > end && at(errors, sample) < 1 ? 1 : 0));
    const replace = (name: string, by: string) =>
      context.linearCombination(name, [
        [accepted.map((each) => 1 - each), name],
        [accepted, by],
      ]);
    await replace('x', 'next');
    await replace('slope 0', 'slope 6');
    this.#states = this.#states.map((state, sample) => {
      if (state.time <= end) return state;
      const error = at(errors, sample);
      const change = error === 0 ? most : Math.min(Math.max(safety * error ** (-1 / 5), least), most);
      const step = at(steps, sample);
      if (at(accepted, sample) === 0) return { ...state, step: step * Math.min(change, 1), refused: true };
      // The last step ends on the end exactly, whatever the difference rounds to.
      const time = state.step >= state.time - end ? end : state.time - step;
      return { time, step: step * (state.refused ? Math.min(change, 1) : change), refused: false };
    });
  }
}

/** Dormand and Prince's method on the probability flow, adaptive, as SciPy's RK45. */
export function runge45Program(options: EvaluationOptions, request: SamplerOptions): HostProgram {
  const { schedule } = options;
  const control = errorControl(request, { atol: 1e-5, rtol: 1e-5 });
  const { start, end } = continuousInterval(schedule, request);
  return {
    kind: 'host',
    initialScale: schedule.initialScale(start),
    head: null,
    run: (context) => new FlowRun(context, options, control, start, end).run(),
  };
}
