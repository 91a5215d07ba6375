import { untilAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { unknownName } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { isFloat32Array } from '../base/option-kinds.js';
import { shownValue } from '../base/text.js';
import type { NativeGuide, NativeQuestion, NativeRequestBatch, NativeRunRequest } from '../engine/binding.js';
import { Network } from '../engine/network.js';
import { guidedProgram, guideForms } from '../guidance/guided-program.js';
import type { StepProgram } from '../program/program.js';
import { requireFinite } from './finite.js';
import { nativeSourcesOf, type ConstraintPlace, type Guide } from '../guidance/guide.js';
import { askingBatch, ownBatchSize, runInOwnBatch, type Answer } from './own-batch.js';
import type { ResolvedRun, RunNetwork } from './resolve.js';
import { ScriptNetwork } from './script-network.js';
import type { StepRunner } from './step-run.js';

/** Answers of the caller's functions to a batch: gradients of guides, and states to continue from. */
class FunctionsOfRun {
  constructor(
    private readonly run: ResolvedRun,
    private readonly network: RunNetwork,
    private readonly program: StepProgram,
  ) {}

  async answer({ asked, x, times, sample, record }: NativeQuestion): Promise<Answer> {
    const first = this.run.place + sample;
    const values =
      asked === 'guide' ? await this.#gradient(x, times, first) : await this.#constrained(x, record, first);
    return { values, head: null };
  }

  /** Waits for the answer of a caller's function. The answer can be of any type, and may never come. */
  #ask(ask: () => unknown): Promise<unknown> {
    return untilAborted(this.run.options.signal, () => this.network.whileOpen(ask));
  }

  async #gradient(x: Float32Array, times: Float32Array, first: number): Promise<Float32Array> {
    const { guides = [] } = this.run.options;
    return sumOfGuides(guides, [x, times, first], (ask) => this.#ask(ask));
  }

  /** Applies the caller's constraint to the states. */
  async #constrained(x: Float32Array, record: number, first: number): Promise<Float32Array> {
    const { records } = this.program;
    const next = records.slice(record).find(({ evaluate }) => evaluate);
    // Inside a step of several evaluations the kept state is not that which the network sees next, nor of its noise level.
    if (next?.read === 'y') return x;
    const place: ConstraintPlace = {
      record,
      time: at(records, record - 1).time,
      nextTime: next?.time ?? null,
      first,
    };
    const found = await this.#ask(() => this.run.options.constrain?.(x, place));
    requireStates('constrain', found, x.length);
    return found;
  }
}

/**
 * Adds up the gradients of guides at states, of which each gets copies.
 *
 * @param ask - Waits for a caller's function, whose answer can be of any type and may never come.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if a guide returns anything but as many finite numbers, or if their sum is not
 * finite.
 */
export async function sumOfGuides(
  guides: readonly Guide[],
  [x, times, first]: Parameters<Guide>,
  ask: (asked: () => unknown) => Promise<unknown>,
): Promise<Float32Array> {
  const sum = new Float32Array(x.length);
  for (const [index, guide] of guides.entries()) {
    const found = await ask(() => guide(x.slice(), times.slice(), first));
    requireStates(`guide ${index}`, found, sum.length);
    for (let i = 0; i < sum.length; ++i) sum[i] = at(sum, i) + at(found, i);
  }
  requireFinite('the sum of all guides', sum);
  return sum;
}

/** Checks the result of a JavaScript function, which can be of any type. */
function requireStates(name: string, found: unknown, elements: number): asserts found is Float32Array {
  // Arrays of another realm are allowed, too.
  if (!isFloat32Array(found) || found.length !== elements) {
    const what = isFloat32Array(found) ? `${found.length} elements` : shownValue(found);
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} returned ${what}, not a Float32Array of ${elements}`);
  }
  requireFinite(`what ${name} returned`, found);
}

/** Builds the program of a run as its guides change it, and its network. */
function guidedNetwork({ work, network, model, options }: ResolvedRun): {
  program: StepProgram;
  network: Network | ScriptNetwork;
} {
  const { guides = [] } = options;
  const who = guides.length > 0 ? 'guides do' : 'constrain does';
  const unsuited = (what: string) => new DpmError('ERR_DPM_UNSUPPORTED', `${who} not go with ${what}`);
  if (work.kind === 'host') throw unsuited('samplers that decide while they run');
  if (work.programs.length > 1) throw unsuited('a program for each sample');
  if (guides.length === 0 && network instanceof ScriptNetwork) return { program: at(work.programs, 0), network };
  if (!(network instanceof Network) || model.outputShift === undefined) throw unsuited('models written in JavaScript');
  if (guides.length === 0) return { program: at(work.programs, 0), network };
  const { guideForm = 'score' } = options;
  if (!guideForms.includes(guideForm)) throw unknownName('guideForm', guideForm, guideForms);
  return { program: guidedProgram(at(work.programs, 0), guideForm, model.outputShift), network };
}

/**
 * Builds the arguments of the native loop for a run whose guides it can compute itself: classifiers on the network's
 * device. Returns null if a guide is a function of the caller, or if the states are constrained.
 *
 * @throws {@link DpmError} The errors of {@link guidedByFunctions}; `ERR_DPM_TENSOR_SHAPE` for a guide of another image
 * size.
 */
export async function nativeGuides(run: ResolvedRun): Promise<{ program: StepProgram; guides: NativeGuide[] } | null> {
  const { options, model, place, count } = run;
  const { guides = [], constrain, signal } = options;
  const sources = constrain === undefined ? nativeSourcesOf(guides, run.network.device) : null;
  if (sources === null || sources.length === 0) return null;
  const { program } = guidedNetwork(run);
  const shape = model.sampleShape.join(', ');
  const found = sources.map(async ({ sampleShape, scale, labels, network }) => {
    if (sampleShape.join(', ') !== shape) {
      const own = sampleShape.join(', ');
      throw new DpmError('ERR_DPM_TENSOR_SHAPE', `a guide takes images of [${own}], the model has [${shape}]`);
    }
    return { labels: labels(place, count), scale, network: await network() };
  });
  return { program, guides: await untilAborted(signal, () => Promise.all(found)) };
}

/**
 * Builds the program and the runner of a run that functions guide or constrain: a batch of the network that calls them.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming the option that cannot be combined with guides. The runner
 * throws `ERR_DPM_ARGUMENT` if a function returns anything but finite numbers.
 */
export function guidedByFunctions(run: ResolvedRun): { program: StepProgram; runner: StepRunner } {
  const { program, network } = guidedNetwork(run);
  const { guides = [], constrain } = run.options;
  const evaluated = program.records.filter(({ evaluate }) => evaluate);
  // A predictor runs ahead of the kept states all the way: no constraint of these would be seen.
  if (constrain !== undefined && evaluated.length > 1 && evaluated.slice(1).every(({ read }) => read === 'y')) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      'constrain does not go with samplers that never evaluate the states that they keep',
    );
  }
  const functions = new FunctionsOfRun(run, network, program);
  const asks = { guides: guides.length > 0, constrains: constrain !== undefined };
  const open = (request: NativeRunRequest): Promise<NativeRequestBatch> => {
    const size = ownBatchSize(request);
    if (network instanceof ScriptNetwork) return network.openBatch(size, (question) => functions.answer(question));
    return askingBatch(
      (onQuestion) => network.native.batch({ ...size, ...asks, onQuestion }),
      (question) => functions.answer(question),
    );
  };
  return {
    program,
    runner: { run: (request) => runInOwnBatch(network, () => open(request), request, run.options.signal) },
  };
}
