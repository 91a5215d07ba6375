import { throwIfAborted, untilAborted } from '../base/abort.js';
import { at, elementCount, partOfEach } from '../base/arrays.js';
import { unknownName } from '../base/checks.js';
import { DpmError, nativeWork } from '../base/errors.js';
import { isFloat32Array, tagOf } from '../base/option-kinds.js';
import type { NativeGuide, NativeScriptRun } from '../engine/binding.js';
import { UNet } from '../engine/unet.js';
import { guidedProgram, guideForms } from '../program/guided.js';
import type { StepProgram } from '../program/program.js';
import { requireFinite } from './finite.js';
import { nativeSourcesOf, type Constraint, type ConstraintPlace } from './guide.js';
import { isGuided as isMixed } from './guidance.js';
import type { ResolvedRun } from './resolve-run.js';
import { nativeRequest } from './run-request.js';

/** Outputs of a network as a program takes them. */
interface Outputs {
  out: Float32Array;
  head: Float32Array | null;
}

/** Some samples of a run, whose predictions a network makes and whose gradients guides. */
class GuidedBatch {
  readonly #elements: number;
  readonly #labels: Int32Array | null;

  constructor(
    private readonly run: ResolvedRun,
    private readonly unet: UNet,
    private readonly program: StepProgram,
    private readonly first: number,
    private readonly count: number,
  ) {
    this.#elements = elementCount(run.model.sampleShape);
    this.#labels = this.#part(run.labels, 1);
  }

  /** Their final states. */
  async states(onRecord: () => void): Promise<Float32Array> {
    const { run, unet, program, first, count } = this;
    const { signal, constrain, guides = [] } = run.options;
    const isGuided = guides.length > 0;
    let done = 0;
    const request = nativeRequest(
      [program],
      {
        ...run,
        count,
        firstSample: run.firstSample + first,
        labels: null,
        guidance: null,
        init: this.#part(run.init, this.#elements),
        noise: this.#noise(),
        batch: count,
      },
      this.#elements,
    );
    const script = await nativeWork(() => unet.device.engine.scriptRun(request, this.#elements, program.head !== null));
    try {
      for (;;) {
        throwIfAborted(signal);
        const question = await nativeWork(() => script.ask());
        if (question === null) return await nativeWork(() => script.states());
        const { x, times } = question;
        const asked = times.length > 0;
        const outputs = asked ? await this.#predict(x, times) : null;
        const gradient = asked && isGuided ? await this.#gradient(x, times) : null;
        throwIfAborted(signal);
        await nativeWork(() => script.answer(outputs?.out ?? null, outputs?.head ?? null, gradient));
        if (constrain !== undefined) await this.#constrain(constrain, script, ++done);
        onRecord();
      }
    } finally {
      script.free();
    }
  }

  /** What belongs to these samples, so many elements of each. */
  #part<T extends Float32Array | Int32Array>(all: T | null, each: number): T | null {
    return all === null ? null : (all.subarray(this.first * each, (this.first + this.count) * each) as T);
  }

  #noise(): Float32Array | null {
    const { noise, count: total } = this.run;
    if (noise === null) return null;
    const [whole, own] = [total * this.#elements, this.count * this.#elements];
    const result = new Float32Array((noise.length / whole) * own);
    for (let slice = 0; slice < noise.length / whole; ++slice) {
      const from = slice * whole + this.first * this.#elements;
      result.set(noise.subarray(from, from + own), slice * own);
    }
    return result;
  }

  async #predict(x: Float32Array, times: Float32Array): Promise<Outputs> {
    const { guidance } = this.run;
    const weights = this.#part(guidance?.weights ?? null, 1);
    const own = await this.#evaluate(x, times, this.#labels);
    if (guidance === null || weights === null) return own;
    const none = new Int32Array(times.length).fill(guidance.unconditionalLabel);
    const unconditional = await this.#evaluate(x, times, none);
    own.out.forEach((value, i) => {
      const weight = at(weights, Math.floor(i / this.#elements));
      const other = at(unconditional.out, i);
      own.out[i] = isMixed(weight) ? other + weight * (value - other) : weight === 0 ? other : value;
    });
    return own;
  }

  /** One evaluation; a learned range, which lies behind the prediction, becomes the second output. */
  async #evaluate(x: Float32Array, times: Float32Array, labels: Int32Array | null): Promise<Outputs> {
    const { unet, program } = this;
    const rows = times.length;
    const { inChannels, outChannels } = unet.info;
    const all = new Float32Array((x.length / inChannels) * outChannels);
    const head = unet.hasHead ? new Float32Array((x.length / inChannels) * unet.headChannels) : null;
    await nativeWork(() => unet.native.forward(rows, x, times, labels, all, head));
    const half = (from: number): Float32Array => partOfEach(all, rows, from, this.#elements);
    const second = program.head === 'learned' ? half(this.#elements) : head;
    return {
      out: outChannels === inChannels ? all : half(0),
      head: program.head === null ? null : second,
    };
  }

  /** Holds the states to what a function makes of them. */
  async #constrain(constrain: Constraint, script: NativeScriptRun, record: number): Promise<void> {
    const { records } = this.program;
    const states = await nativeWork(() => script.states());
    const place: ConstraintPlace = {
      record,
      time: at(records, record - 1).time,
      nextTime: records.slice(record).find(({ evaluate }) => evaluate)?.time ?? null,
      first: this.run.place + this.first,
    };
    const found = await this.#answer(() => constrain(states.slice(), place));
    requireStates('constrain', found, states.length);
    await nativeWork(() => script.replace(found));
  }

  /** What a function of the caller's answers; it may be anything, and never come. */
  #answer(ask: () => unknown): Promise<unknown> {
    return untilAborted(this.run.options.signal, () => this.unet.whileOpen(ask));
  }

  async #gradient(x: Float32Array, times: Float32Array): Promise<Float32Array> {
    const { guides = [] } = this.run.options;
    const sum = new Float32Array(x.length);
    for (const [index, guide] of guides.entries()) {
      const found = await this.#answer(() => guide(x.slice(), times.slice(), this.run.place + this.first));
      requireStates(`guide ${index}`, found, sum.length);
      for (let i = 0; i < sum.length; ++i) sum[i] = at(sum, i) + at(found, i);
    }
    requireFinite('the sum of all guides', sum);
    return sum;
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
function guidedNetwork({ work, unet, model, options }: ResolvedRun): { program: StepProgram; unet: UNet } {
  const { guides = [] } = options;
  const who = guides.length > 0 ? 'guides do' : 'constrain does';
  const unsuited = (what: string) => new DpmError('ERR_DPM_UNSUPPORTED', `${who} not go with ${what}`);
  if (work.kind === 'host') throw unsuited('samplers that decide while they run');
  if (work.programs.length > 1) throw unsuited('a program for each sample');
  if (!(unet instanceof UNet) || model.outputShift === undefined) throw unsuited('models written in JavaScript');
  if (guides.length === 0) return { program: at(work.programs, 0), unet };
  const { guideForm = 'score' } = options;
  if (!guideForms.includes(guideForm)) throw unknownName('guideForm', guideForm, guideForms);
  return { program: guidedProgram(at(work.programs, 0), guideForm, model.outputShift), unet };
}

/**
 * What the native loop takes of a run whose guides it can compute itself: classifiers on the network's device. Null where one is a function of
 * the caller's, and where the states are constrained.
 *
 * @throws {@link DpmError} as {@link runGuided} does, `ERR_DPM_TENSOR_SHAPE` for a guide of images of another size.
 */
export async function nativeGuides(run: ResolvedRun): Promise<{ program: StepProgram; guides: NativeGuide[] } | null> {
  const { options, unet, model, place, count } = run;
  const { guides = [], constrain, signal } = options;
  const sources = constrain === undefined ? nativeSourcesOf(guides, unet.device) : null;
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
 * The final states of a run with guides, a batch after the other: the native loop stops where it needs predictions and gradients.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming the option that guides do not go with, `ERR_DPM_ARGUMENT` for a guide that returns
 * something else than finite numbers.
 */
export async function runGuided(run: ResolvedRun): Promise<Float32Array> {
  const { program, unet } = guidedNetwork(run);
  const { onProgress, constrain, onPreview, snapshotEvery = 0 } = run.options;
  const who = constrain === undefined ? 'guides written in JavaScript do' : 'constrain does';
  const unsuited = (what: string) => new DpmError('ERR_DPM_UNSUPPORTED', `${who} not go with ${what}`);
  // What they keep is not what the network sees next, and not of its noise level.
  if (constrain !== undefined && program.records.some(({ evaluate, read }) => evaluate && read === 'y')) {
    throw unsuited('samplers that evaluate other states than they keep');
  }
  if (onPreview !== undefined) throw unsuited('onPreview');
  if (snapshotEvery !== 0) throw unsuited('snapshotEvery');
  const elements = elementCount(run.model.sampleShape);
  const states = new Float32Array(run.count * elements);
  const total = run.count * program.records.length;
  let done = 0;
  for (let first = 0; first < run.count; first += run.batch) {
    const count = Math.min(run.batch, run.count - first);
    const batch = new GuidedBatch(run, unet, program, first, count);
    const found = await batch.states(() => onProgress?.((done += count), total));
    states.set(found, first * elements);
  }
  return states;
}
