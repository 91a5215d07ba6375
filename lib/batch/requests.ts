import { AsyncResource } from 'node:async_hooks';
import { setImmediate as immediate } from 'node:timers/promises';

import { throwIfAborted } from '../base/abort.js';
import { elementCount } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError, nativeWork } from '../base/errors.js';
import type { BatchCounts, NativeBatchResult, NativeRunRequest } from '../engine/binding.js';
import type { ImageBatch } from '../images/image-batch.js';
import type { Program, StepProgram } from '../program/program.js';
import { imagesOf, runOnNetwork, runPrograms, type RunResult } from '../run/network-run.js';
import {
  programsAndCount,
  requireStreams,
  type ResolvableOptions,
  resolveRun,
  type ResolvedRun,
  type RunModel,
} from '../run/resolve.js';
import { thrownBy } from '../run/script-network.js';
import type { Admission, Admitted, ServiceTerms } from './admission.js';
import type { Pace } from './pace.js';
import type { Batches } from './batches.js';
import type { Beside } from './beside.js';
import type { Asker } from './compile-queue.js';
import { demandOf, heldOptions, type Preparation } from './demand.js';
import { Ending } from './ending.js';
import { serviceDefaults, type BatchRunOptions, type Priority } from './options.js';
import type { ProgramCache } from './program-cache.js';
import type { Found as FoundProgram } from './programs.js';

/** Work and times of a finished request. */
export interface Served {
  result: RunResult;
  /** Number of network evaluations; 0 for adaptive samplers, which count none here. */
  evaluations: number;
  /** Milliseconds until its first sample had a slot, and from then on. */
  queued: number;
  ran: number;
}

/** Programs that are there, or one that comes once it is asked for. */
type Found = { readonly made: Program | readonly Program[] } | Extract<FoundProgram, { coming: unknown }>;

/** What a request runs. */
export interface ProgramToMake {
  /**
   * Finds the programs of its samples, or that of all; called when there is room for the request, and time for the evaluations that
   * it has at least.
   */
  readonly find: (asker: Asker) => Found;
  /** The evaluations that a sample takes at least, if that is known before. */
  readonly evaluations?: number | undefined;
}

/** Observer of a request, in addition to its caller's own functions. */
export interface Watcher {
  accepted?(expectedWait: number): void;
  progress?(done: number, total: number): void;
  /** Number of records between two previews; no previews if absent. */
  readonly previewEvery?: number | undefined;
  /** Maximum number of previews of a sample. */
  readonly mostPreviews?: number | undefined;
  preview?(sample: number, record: number, image: ImageBatch): void;
  image?(sample: number, image: ImageBatch): void;
}

const nativePriority: Record<Priority, number> = { high: 1, normal: 0, low: -1 };

/** Separates the tenant and urgency of a request from its options. */
export function termsOf({ deadline, ...options }: BatchRunOptions): ServiceTerms {
  const { tenant = serviceDefaults.tenant, weight = serviceDefaults.weight } = options;
  const { priority = serviceDefaults.priority } = options;
  return { tenant, weight, priority, deadline };
}

/** Binds a function to the asynchronous context of the call, as engine threads have none. */
function bound<A extends unknown[]>(call: ((...args: A) => void) | undefined): ((...args: A) => void) | undefined {
  return call && AsyncResource.bind(call);
}

/** Maximum number of samples of one request; `model.stream` takes more. */
const MOST_SAMPLES = 1_000_000;

/** Checks the number of samples before anything is made for each of them. */
function requireCount(count: number, options: BatchRunOptions): void {
  if (count > MOST_SAMPLES) throw wrongValue('count', count, `at most ${MOST_SAMPLES} in one request of a batcher`);
  requireStreams(options, count);
}

/** Lists coefficients per record for a preview of the data prediction; of the state if a record predicts nothing. */
function dataPredictions(programs: readonly StepProgram[]): Float32Array {
  const records = [...new Set(programs)].flatMap((program) => program.records);
  return Float32Array.from(
    records.flatMap(({ data, prediction, evaluate }) => {
      const { input, output } = data ?? prediction;
      return !evaluate && input === 0 && output === 0 ? [1, 0] : [input, output];
    }),
  );
}

function requirePreviews(programs: readonly StepProgram[], { previewEvery, mostPreviews = Infinity }: Watcher): void {
  if (previewEvery === undefined) return;
  const longest = programs.reduce((most, { records }) => Math.max(most, records.length), 0);
  const previews = Math.floor(longest / previewEvery);
  if (previews <= mostPreviews) return;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `previewEvery of ${previewEvery} makes ${previews} previews of a sample, at most ${mostPreviews} are kept for a reader`,
  );
}

/** A request that has been checked, whose signal ends it for any reason. */
interface Asked {
  readonly options: BatchRunOptions & { count: number; signal: AbortSignal };
  readonly terms: ServiceTerms;
  readonly watcher: Watcher;
  readonly preparation: Preparation | null;
}

/** Does work; errors of the caller's own functions pass unchanged. */
async function asThrown<T>({ network }: ResolvedRun, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw thrownBy([network], error);
  }
}

/** What requests are run with. */
export interface RequestParts {
  readonly model: RunModel;
  readonly batches: Batches;
  readonly admission: Admission;
  readonly programs: Pick<ProgramCache, 'pack'>;
  readonly pace: Pace;
  readonly beside: Beside;
}

/** Accepts requests and runs them: step programs in the batch, others beside it. */
export class Requests {
  readonly #model: RunModel;
  readonly #batches: Batches;
  readonly #admission: Admission;
  readonly #programs: RequestParts['programs'];
  readonly #beside: Beside;
  readonly #pace: Pace;
  readonly #endings = new Set<Ending>();
  readonly #work = new Set<Promise<unknown>>();
  #refusal: string | null = null;

  constructor({ model, batches, admission, programs, pace, beside }: RequestParts) {
    this.#model = model;
    this.#batches = batches;
    this.#admission = admission;
    this.#programs = programs;
    this.#pace = pace;
    this.#beside = beside;
  }

  /** Number of unfinished requests. */
  get unfinished(): number {
    return this.#work.size;
  }

  /** Runs a request. */
  async perform(
    program: ProgramToMake,
    options: BatchRunOptions,
    watcher: Watcher = {},
    preparation: Preparation | null = null,
  ): Promise<Served> {
    return this.#counted(async () => {
      try {
        return await this.#begin(program, options, watcher, preparation);
      } finally {
        preparation?.release();
      }
    });
  }

  /** Takes in how long steps take now, on which waits depend, and gives the counts of the batches. */
  observe(): BatchCounts {
    const counts = this.#batches.stats();
    this.#admission.observe(this.#pace, counts);
    return counts;
  }

  /**
   * Refuses a request for which there is no room, before anything is made of it.
   *
   * @returns Milliseconds until a request on these terms would begin.
   */
  requireRoom(terms: ServiceTerms): number {
    this.observe();
    return this.#admission.requireRoom(terms);
  }

  /** Refuses new requests; `refusal` is the message of their errors. */
  refuse(refusal: string): void {
    this.#refusal ??= refusal;
  }

  /** Ends all requests with an error. */
  end(error: DpmError): void {
    for (const ending of this.#endings) ending.end(error);
  }

  /** Waits until all requests have ended, with any result. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#work);
    // The callers of these requests are notified first.
    await immediate();
  }

  async #begin(
    { find, evaluations }: ProgramToMake,
    options: BatchRunOptions,
    watcher: Watcher,
    preparation: Preparation | null,
  ): Promise<Served> {
    const came = performance.now();
    this.#requireOpen(options.signal);
    const terms = termsOf(options);
    const expectedWait = this.requireRoom(terms);
    if (evaluations !== undefined) this.#admission.requireInTime(terms, [{ evaluations, rows: 1 }], this.#pace);
    const found = find(terms);
    return this.#until(options, terms, async (signal) => {
      const asked = { options: { ...options, signal }, terms, watcher, preparation };
      // Without a wait where the program is there: the run reads its inputs at the call.
      if ('made' in found) return this.#perform(found.made, asked, expectedWait);
      const { held, bytes } = heldOptions(asked.options);
      const release = this.#admission.hold(bytes);
      const program = await found.coming(signal).finally(release);
      const late = { ...terms, spent: performance.now() - came };
      // Others may have taken the room meanwhile.
      return this.#perform(program, { ...asked, options: held, terms: late }, this.requireRoom(late));
    });
  }

  async #perform(
    program: Program | readonly Program[],
    asked: Omit<Asked, 'options'> & { options: BatchRunOptions & { signal: AbortSignal } },
    expectedWait: number,
  ): Promise<Served> {
    const { options, watcher, preparation } = asked;
    const { programs, count } = programsAndCount(program, options.count);
    requireCount(count, options);
    if (options.previewOf !== undefined && options.onPreview === undefined && watcher.previewEvery === undefined) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        'previewOf is for onPreview or the previewEvery of a stream, which is missing',
      );
    }
    const steps = programs.filter((each): each is StepProgram => each.kind === 'step');
    const counted = { ...asked, options: { ...options, count } };
    const isForBatch = steps.length === programs.length && preparation?.isAlone !== true;
    return isForBatch ? this.#inBatch(steps, counted, expectedWait) : this.#besideBatch(programs, counted);
  }

  /**
   * Does work other than sampling, which is refused and ended like a request.
   *
   * @throws {@link DpmError} The errors of {@link Requests.perform}.
   */
  async other<T>(options: BatchRunOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const terms = termsOf(options);
    return this.#counted(async () => {
      this.#requireOpen(options.signal);
      this.requireRoom(terms);
      return this.#until(options, terms, work);
    });
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    const counted = work();
    this.#work.add(counted);
    try {
      return await counted;
    } finally {
      this.#work.delete(counted);
    }
  }

  #requireOpen(signal: AbortSignal | undefined): void {
    if (this.#refusal !== null) throw new DpmError('ERR_DPM_CLOSED', this.#refusal);
    throwIfAborted(signal);
  }

  /** Does work until it is done, aborted, late or ended with the batch. */
  async #until<T>(
    options: BatchRunOptions,
    terms: ServiceTerms,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const ending = new Ending(options.signal, terms.deadline, () => this.#late(terms));
    this.#endings.add(ending);
    try {
      return await ending.during(() => work(ending.signal));
    } finally {
      this.#endings.delete(ending);
    }
  }

  #late(terms: ServiceTerms): DpmError {
    return new DpmError('ERR_DPM_DEADLINE', `the request was not done within its deadline of ${terms.deadline} ms`, {
      retryAfterMs: Math.max(1, Math.ceil(this.#admission.expectedWait(terms))),
    });
  }

  async #inBatch(programs: readonly StepProgram[], asked: Asked, expectedWait: number): Promise<Served> {
    const { options, terms, watcher, preparation } = asked;
    requirePreviews(programs, watcher);
    const demand = demandOf(programs, options.count, elementCount(this.#model.sampleShape), asked);
    const ticket = this.#admission.admit(terms, demand, this.#pace);
    try {
      // Without a wait where there is nothing to prepare: the run reads its inputs at the call.
      const begun = preparation === null ? null : await preparation.begin(options.signal);
      const run = await resolveRun(this.#model, programs, this.#runOptions({ ...options, ...begun }, ticket, watcher));
      watcher.accepted?.(expectedWait);
      const submit = async (request: NativeRunRequest): Promise<NativeBatchResult> => {
        const batch = await this.#batches.of(run.network);
        const showsData = options.previewOf === 'prediction' && request.previewEvery > 0;
        const submitted = nativeWork(() =>
          batch.submit({
            ...request,
            priority: nativePriority[terms.priority],
            keys: ticket.keys,
            mostQueued: this.#admission.mostQueued(this.#pace),
            previewsRows: false,
            dataPredictions: showsData ? dataPredictions(programs) : null,
            onImage: this.#onImage(run, watcher),
          }),
        );
        return submitted.catch((error: unknown) => {
          this.observe();
          throw this.#admission.whileQueued(error, terms, ticket);
        });
      };
      const runner = { run: submit, pack: (program: StepProgram) => this.#programs.pack(program) };
      const { result, native } = await asThrown(run, () => runPrograms(programs, run, runner));
      await preparation?.finish(options.signal);
      const evaluations = demand.samples.reduce((sum, sample) => sum + sample.evaluations * sample.rows, 0);
      return { result, evaluations, queued: native.queued, ran: native.ran };
    } finally {
      this.#admission.finish(ticket);
    }
  }

  #onImage(run: ResolvedRun, watcher: Watcher): ((sample: number, image: Float32Array | Uint8Array) => void) | null {
    if (watcher.image === undefined) return null;
    return (sample, values) => {
      watcher.image?.(sample, imagesOf(run, values));
    };
  }

  /** Makes the options of the run, whose functions also notify the clock and the watcher. */
  #runOptions(
    options: BatchRunOptions & ResolvableOptions,
    ticket: Admitted | null,
    watcher: Watcher,
  ): ResolvableOptions {
    const {
      tenant: _tenant,
      weight: _weight,
      priority: _priority,
      deadline: _deadline,
      previewOf: _of,
      ...run
    } = options;
    const onProgress = bound(options.onProgress);
    const onPreview = bound(options.onPreview);
    const previewEvery = options.previewEvery ?? watcher.previewEvery;
    const isShown = watcher.previewEvery !== undefined || onPreview !== undefined;
    return {
      ...run,
      onProgress: (done, total) => {
        if (ticket !== null && total > 0) ticket.done = done / total;
        watcher.progress?.(done, total);
        onProgress?.(done, total);
      },
      ...(isShown && {
        previewEvery,
        onPreview: (image, place) => {
          if (watcher.previewEvery !== undefined) watcher.preview?.(place.first, place.record, image);
          onPreview?.(image, place);
        },
      }),
    };
  }

  async #besideBatch(programs: readonly Program[], asked: Asked): Promise<Served> {
    const { options, terms, watcher, preparation } = asked;
    const wait = this.#beside.requireRoom();
    if (watcher.previewEvery !== undefined) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        'previewEvery of a stream is for samplers whose steps are known beforehand',
      );
    }
    if (options.previewOf === 'prediction') {
      throw new DpmError('ERR_DPM_ARGUMENT', "previewOf 'prediction' is for samplers whose steps are known beforehand");
    }
    return this.#beside.counted(async (pass) => {
      const begun = preparation === null ? null : await preparation.begin(options.signal);
      const run = await resolveRun(this.#model, programs, this.#runOptions({ ...options, ...begun }, null, watcher));
      watcher.accepted?.(wait);
      const { result, queued, ran } = await pass(options.signal, () => asThrown(run, () => runOnNetwork(run)));
      this.#admission.clock.charge(terms.tenant, terms.weight, ran);
      for (const [sample, image] of [...result.images].entries()) watcher.image?.(sample, image);
      await preparation?.finish(options.signal);
      return { result, evaluations: 0, queued, ran };
    });
  }
}
