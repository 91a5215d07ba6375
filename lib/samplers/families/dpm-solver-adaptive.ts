import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { linear } from '../../program/builder.js';
import type { HostContext } from '../../program/host-context.js';
import type { LinearUpdate } from '../../program/record.js';
import { continuousInterval } from '../../schedule/trajectory.js';
import { batchNorm, sdeOptions } from '../common-options.js';
import { evaluateNoise, type EvaluationOptions } from '../numerics/evaluation.js';
import { noiseLevel, type NoiseLevel } from '../../schedule/noise-level.js';
import {
  combine,
  exponentialStep,
  secondOrder,
  thirdOrder,
  thirdOrderStage,
  type ExponentialStep,
} from '../numerics/flow-steps.js';
import { integerOption, positiveOption } from '../option.js';
import { clipOf, errorControl, type ErrorControl } from '../options.js';
import { defineSampler, noBound } from '../sampler.js';

/** Safety factor and first step of the authors' code (Lu et al. 2022, appendix C). */
const safety = 0.9;
const firstStep = 0.05;
/** Minimum error; with 0 the next step would grow without limit. */
const leastError = 1e-10;
/** Maximum growth (the authors have none): a step through pure noise has no error, the next would jump to the data. */
const mostGrowth = 10;
const mostSteps = 10_000;

/** Progress of one sample: its level and the step it tries next. */
interface Progress {
  level: NoiseLevel;
  h: number;
}

interface Attempt {
  from: NoiseLevel[];
  /** Levels inside the step, at the fractions of the method. */
  inner: NoiseLevel[][];
  to: NoiseLevel[];
}

/** Applies one linear update per sample to `x`, past noise predictions under the names `noise 0`, `noise 1`, …. */
async function applyUpdates(context: HostContext, target: string, updates: readonly LinearUpdate[]): Promise<void> {
  const slots = Math.max(...updates.map(({ history }) => history.length));
  await context.linearCombination(target, [
    [updates.map(({ x }) => x), 'x'],
    ...Array.from(
      { length: slots },
      (_, slot) => [updates.map(({ history }) => history[slot] ?? 0), `noise ${slot}`] as const,
    ),
  ]);
}

class AdaptiveRun {
  readonly #states: Progress[];

  constructor(
    private readonly context: HostContext,
    private readonly options: EvaluationOptions,
    private readonly order: number,
    private readonly control: ErrorControl,
    start: number,
    private readonly end: NoiseLevel,
  ) {
    const level = noiseLevel(options.schedule, start);
    const h = Math.min(firstStep, end.logSnr - level.logSnr);
    this.#states = Array.from({ length: context.batch }, () => ({ level, h }));
  }

  async run(): Promise<void> {
    const { context } = this;
    const [first] = this.#states;
    const total = this.end.logSnr - (first?.level.logSnr ?? 0);
    await context.linearCombination('previous', [[1, 'x']]);
    for (let step = 0; this.#states.some((state) => !this.#isDone(state)); ++step) {
      if (step === mostSteps) {
        throw new DpmError(
          'ERR_DPM_ARGUMENT',
          `dpm-solver-adaptive has not come to its end in ${mostSteps} steps: atol and rtol are too small`,
        );
      }
      const attempt = this.#attempt();
      await this.#compute(attempt);
      await this.#decide(attempt);
      const left = Math.max(...this.#states.map(({ level }) => this.end.logSnr - level.logSnr));
      context.progress(Math.round(100 * (1 - left / total)), 100);
    }
  }

  #isDone({ level }: Progress): boolean {
    return level.time === this.end.time;
  }

  /** Lists the levels of every sample's next step; a sample at its end stands still. */
  #attempt(): Attempt {
    const { schedule } = this.options;
    const fractions = this.order === 2 ? [1 / 2] : [1 / 3, 2 / 3];
    const levelAt = (state: Progress, fraction: number): NoiseLevel => {
      const { logSnr } = state.level;
      if (this.#isDone(state)) return state.level;
      if (fraction === 1 && logSnr + state.h >= this.end.logSnr - 1e-12) return this.end;
      return noiseLevel(schedule, schedule.timeOfLogSnr(logSnr + fraction * state.h));
    };
    return {
      from: this.#states.map(({ level }) => level),
      inner: fractions.map((fraction) => this.#states.map((state) => levelAt(state, fraction))),
      to: this.#states.map((state) => levelAt(state, 1)),
    };
  }

  /** Computes the solutions of lower and higher order, in `lower` and `higher`, and their difference in `error`. */
  async #compute({ from, inner, to }: Attempt): Promise<void> {
    const { context, options } = this;
    const steps = (levels: readonly NoiseLevel[]) =>
      from.map((level, sample) => exponentialStep(level, at(levels, sample), 'noise'));
    const euler = ({ scale, first }: ExponentialStep): LinearUpdate => combine(scale, [[0, first]]);
    const [first = from, second = from] = inner;
    await evaluateNoise(context, options, from, 'x', 'noise 0');
    await applyUpdates(context, 'stage', steps(first).map(euler));
    await evaluateNoise(context, options, first, 'stage', 'noise 1');
    if (this.order === 2) {
      await this.#solutions(steps(to), euler, (step) => secondOrder(step, 1 / 2, 'midpoint'));
      return;
    }
    const fractions = [1 / 3, 2 / 3] as const;
    await applyUpdates(
      context,
      'stage',
      steps(second).map((step) => thirdOrderStage(step, fractions)),
    );
    await evaluateNoise(context, options, second, 'stage', 'noise 2');
    await this.#solutions(
      steps(to),
      (step) => secondOrder(step, fractions[0], 'midpoint'),
      (step) => thirdOrder(step, fractions, 'midpoint'),
    );
  }

  async #solutions(
    steps: readonly ExponentialStep[],
    lower: (step: ExponentialStep) => LinearUpdate,
    higher: (step: ExponentialStep) => LinearUpdate,
  ): Promise<void> {
    await applyUpdates(this.context, 'lower', steps.map(lower));
    await applyUpdates(this.context, 'higher', steps.map(higher));
    // Coefficients give the difference; in short steps that of the tensors would be only rounding errors.
    const difference = (step: ExponentialStep): LinearUpdate => {
      const [low, high] = [lower(step), higher(step)];
      return linear({ history: high.history.map((coefficient, slot) => coefficient - (low.history[slot] ?? 0)) });
    };
    await applyUpdates(this.context, 'error', steps.map(difference));
  }

  /** Accepts or refuses every sample's step and chooses its next. */
  async #decide({ to }: Attempt): Promise<void> {
    const { context, control, order } = this;
    const { atol, rtol } = control;
    // The larger norm is used if states keep their size, the smaller one if they shrink with the noise, where the first
    // norm would allow errors far above the next, and a step too long one that is far too large itself.
    const size = this.options.schedule.preservesVariance ? Math.max : Math.min;
    const errors = await context.errorNorm('error', ['lower', 'previous'], (lower, previous) =>
      Math.max(atol, rtol * size(lower, previous)),
    );
    if (control.shared) errors.fill(errors.reduce((most, each) => Math.max(most, each), 0));
    const accepted = this.#states.map((state, sample) => (!this.#isDone(state) && at(errors, sample) <= 1 ? 1 : 0));
    const keep = (name: string, by: string) =>
      context.linearCombination(name, [
        [accepted.map((each) => 1 - each), name],
        [accepted, by],
      ]);
    await keep('x', 'higher');
    await keep('previous', 'lower');
    this.#states.forEach((state, sample) => {
      if (this.#isDone(state)) return;
      const level = at(accepted, sample) === 1 ? at(to, sample) : state.level;
      const growth = safety * Math.max(at(errors, sample), leastError) ** (-1 / order);
      const limit = this.options.schedule.preservesVariance ? growth : Math.min(growth, mostGrowth);
      this.#states[sample] = { level, h: Math.min(limit * state.h, this.end.logSnr - level.logSnr) };
    });
  }
}

/** The sampler chooses its times itself. */
const { steps: _, trajectory: __, ...spacingless } = sdeOptions;

/**
 * Adaptive DPM-Solver (Lu et al. 2022, appendix C): steps of `order` 2 (the default, DPM-Solver-12) or 3 (DPM-Solver-23)
 * whose difference to the order below is held to `atol` (0.0078) and `rtol` (0.05). Every sample takes steps of its own;
 * `batchNorm: 'reference'` gives all the steps of the worst, as the authors' code does.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverAdaptive = defineSampler(
  {
    name: 'dpm-solver-adaptive',
    summary: 'adaptive DPM-Solver (Lu et al. 2022)',
    kind: 'host',
    options: {
      ...spacingless,
      order: integerOption('order of the steps, default 2', 2, 3),
      atol: positiveOption('absolute tolerance, default 0.0078'),
      rtol: positiveOption('relative tolerance, default 0.05'),
      batchNorm,
    },
    head: null,
    needsGamma: false,
    bound: noBound.noChain,
  },
  (discrete, options) => {
    const schedule = discrete.continuous();
    const { order = 2 } = options;
    const control = errorControl(options, { atol: 0.0078, rtol: 0.05 });
    const { start, end } = continuousInterval(schedule, options);
    const evaluationOptions = {
      schedule,
      prediction: options.prediction,
      clip: clipOf(schedule, options.clip ?? 'none'),
    };
    return {
      kind: 'host',
      initialScale: schedule.initialScale(start),
      head: null,
      run: (context) =>
        new AdaptiveRun(context, evaluationOptions, order, control, start, noiseLevel(schedule, end)).run(),
    };
  },
);
