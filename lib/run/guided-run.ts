import { untilAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { unknownName } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { isFloat32Array, tagOf } from '../base/option-kinds.js';
import type { NativeGuide, NativeQuestion, NativeRequestBatch, NativeRunRequest } from '../engine/binding.js';
import { Network } from '../engine/network.js';
import { guidedProgram, guideForms } from '../guidance/guided-program.js';
import type { StepProgram } from '../program/program.js';
import { requireFinite } from './finite.js';
import { nativeSourcesOf, type ConstraintPlace } from '../guidance/guide.js';
import { askingBatch, ownBatchSize, runInOwnBatch, type Answer } from './own-batch.js';
import type { ResolvedRun } from './resolve.js';
import type { StepRunner } from './step-run.js';

/** What functions of the caller's answer a batch: gradients of guides, and states to go on from. */
class FunctionsOfRun {
  constructor(
    private readonly run: ResolvedRun,
    private readonly network: Network,
    private readonly program: StepProgram,
  ) {}

  async answer({ asked, x, times, sample, record }: NativeQuestion): Promise<Answer> {
    const first = this.run.place + sample;
    const values =
      asked === 'guide' ? await this.#gradient(x, times, first) : await this.#constrained(x, record, first);
    return { values, head: null };
  }

  /** What a function of the caller's answers; it may be anything, and never come. */
  #ask(ask: () => unknown): Promise<unknown> {
    return untilAborted(this.run.options.signal, () => this.network.whileOpen(ask));
  }

  async #gradient(x: Float32Array, times: Float32Array, first: number): Promise<Float32Array> {
    const { guides = [] } = this.run.options;
    const sum = new Float32Array(x.length);
    for (const [index, guide] of guides.entries()) {
      const found = await this.#ask(() => guide(x.slice(), times.slice(), first));
      requireStates(`guide ${index}`, found, sum.length);
      for (let i = 0; i < sum.length; ++i) sum[i] = at(sum, i) + at(found, i);
    }
    requireFinite('the sum of all guides', sum);
    return sum;
  }

  /** What holds the states to something makes of them. */
  async #constrained(x: Float32Array, record: number, first: number): Promise<Float32Array> {
    const { records } = this.program;
    const place: ConstraintPlace = {
      record,
      time: at(records, record - 1).time,
      nextTime: records.slice(record).find(({ evaluate }) => evaluate)?.time ?? null,
      first,
    };
    const found = await this.#ask(() => this.run.options.constrain?.(x, place));
    requireStates('constrain', found, x.length);
    return found;
  }
}

/** Plain JavaScript functions return anything. */
function requireStates(name: string, found: unknown, elements: number): asserts found is Float32Array {
  // Of another realm, too.
  if (!isFloat32Array(found) || found.length !== elements) {
    const what = isFloat32Array(found) ? `${found.length} elements` : tagOf(found);
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} returned ${what}, not a Float32Array of ${elements}`);
  }
  requireFinite(`what ${name} returned`, found);
}

/** The program of a run with what guides change, and its network. */
function guidedNetwork({ work, network, model, options }: ResolvedRun): { program: StepProgram; network: Network } {
  const { guides = [] } = options;
  const who = guides.length > 0 ? 'guides do' : 'constrain does';
  const unsuited = (what: string) => new DpmError('ERR_DPM_UNSUPPORTED', `${who} not go with ${what}`);
  if (work.kind === 'host') throw unsuited('samplers that decide while they run');
  if (work.programs.length > 1) throw unsuited('a program for each sample');
  if (!(network instanceof Network) || model.outputShift === undefined) throw unsuited('models written in JavaScript');
  if (guides.length === 0) return { program: at(work.programs, 0), network };
  const { guideForm = 'score' } = options;
  if (!guideForms.includes(guideForm)) throw unknownName('guideForm', guideForm, guideForms);
  return { program: guidedProgram(at(work.programs, 0), guideForm, model.outputShift), network };
}

/**
 * What the native loop takes of a run whose guides it can compute itself: classifiers on the network's device. Null where one is a function of
 * the caller's, and where the states are constrained.
 *
 * @throws {@link DpmError} as {@link guidedByFunctions} does, `ERR_DPM_TENSOR_SHAPE` for a guide of images of another size.
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
 * Who runs the program of a run that functions guide or constrain: a batch of the network that asks them.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming the option that guides do not go with. The runner, `ERR_DPM_ARGUMENT` for a function
 * that returns something else than finite numbers.
 */
export function guidedByFunctions(run: ResolvedRun): { program: StepProgram; runner: StepRunner } {
  const { program, network } = guidedNetwork(run);
  const { guides = [], constrain } = run.options;
  // What they keep is not what the network sees next, and not of its noise level.
  if (constrain !== undefined && program.records.some(({ evaluate, read }) => evaluate && read === 'y')) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      'constrain does not go with samplers that evaluate other states than they keep',
    );
  }
  const functions = new FunctionsOfRun(run, network, program);
  const asks = { guides: guides.length > 0, constrains: constrain !== undefined };
  const open = (request: NativeRunRequest): Promise<NativeRequestBatch> =>
    askingBatch(
      (onQuestion) => network.native.batch({ ...ownBatchSize(request), ...asks, onQuestion }),
      (question) => functions.answer(question),
    );
  return {
    program,
    runner: { run: (request) => runInOwnBatch(network, () => open(request), request, run.options.signal) },
  };
}
