import { untilAborted } from '../base/abort.js';
import { at, elementCount } from '../base/arrays.js';
import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireMemory } from '../base/memory-budget.js';
import { kinds, requireKind } from '../base/option-kinds.js';
import type { PixelRange } from '../base/pixel-range.js';
import type { NativeNetwork, NativeNetworkBatchOptions, NativeRequestBatch } from '../engine/binding.js';
import type { Device } from '../engine/device.js';
import type { NetworkInfo } from '../engine/network.js';
import type { OutputShift } from '../guidance/guided-program.js';
import type { HostProgram, Program, ProgramHead, StepProgram } from '../program/program.js';
import { requireFinite } from './finite.js';
import { checkedGuidance, type Guidance } from '../guidance/classifier-free.js';
import { flattenNoise } from './noise-source.js';
import { requireProgram } from './require-program.js';
import { imageFormats, runDefaults, type RunOptions } from './options.js';

/** Number of streams that a seed has. */
const MOST_SAMPLES = 2 ** 32;

/** Network of a run, or its stand-in. */
export interface RunNetwork {
  readonly device: Device;
  readonly info: Pick<NetworkInfo, 'classes'>;
  readonly native: Pick<NativeNetwork, 'run' | 'predict' | 'measure'> & {
    batch(options: NativeNetworkBatchOptions): Promise<NativeRequestBatch>;
  };
  /** Errors that functions of the caller have thrown, if they stand in for the network. */
  readonly thrown?: WeakSet<object>;
  /** Checks class labels and returns them in the engine's form. */
  labels(classLabels: ArrayLike<number> | undefined, batch: number): Int32Array | null;
  /** Waits for the answer of a caller's function; rejects with `ERR_DPM_CLOSED` as soon as this is closed. */
  whileOpen<T>(work: () => T | Promise<T>): Promise<T>;
}

/** Description of the model whose network a run uses. */
export interface RunModel {
  /** Shape [C, H, W] of one sample. */
  readonly sampleShape: readonly [channels: number, height: number, width: number];
  /** Values of black and white. */
  readonly range: PixelRange;
  /** Label that stands for no class: null for no label at all, undefined for the last class. */
  readonly labelForNone: null | undefined;
  /** Change that a guide's gradient makes to the network's output; absent if guides are not supported. */
  readonly outputShift?: OutputShift;
  /** Gives the network with the second output that a program reads. */
  network(head: ProgramHead | null): Promise<RunNetwork>;
}

/** Inputs of every run, checked and complete. */
export interface RunInputs {
  count: number;
  /** Index of the first sample in the random streams. */
  firstSample: number;
  seed: number | bigint;
  /** Seed of each sample, of which it is sample `firstSample`, in place of `seed`; null: consecutive samples of `seed`. */
  seeds: readonly (number | bigint)[] | null;
  labels: Int32Array | null;
  guidance: Guidance | null;
  /** Initial states [count, C, H, W]. */
  init: Float32Array | null;
  noise: Float32Array | null;
  /** Maximum number of samples at once. */
  batch: number;
}

/** Options of a run, of which some are for callers inside this package alone. */
export interface ResolvableOptions extends RunOptions {
  /** Seed of each sample in place of `seed`; each is then the sample `first` of its seed. */
  seeds?: readonly (number | bigint)[] | undefined;
}

/** Run whose options no longer depend on the caller's arrays. */
export interface ResolvedRun extends RunInputs {
  work: { kind: 'step'; programs: readonly StepProgram[] } | { kind: 'host'; program: HostProgram };
  model: RunModel;
  network: RunNetwork;
  options: RunOptions;
  /** Index of this run's first sample in the caller's request, of which the run may be a part. */
  place: number;
}

function checkedCount(name: string, value: number): number {
  requireKind(name, value, kinds.positiveInteger);
  return value;
}

/** Finds the second output that all programs of a run agree on. */
function commonHead(programs: readonly Program[]): ProgramHead | null {
  const heads = [...new Set(programs.map((program) => program.head).filter((head) => head !== null))];
  if (heads.length > 1) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `the programs of one run need different second outputs: ${heads.join(', ')}`,
    );
  }
  return heads[0] ?? null;
}

/** Programs that can run together: step programs, or one host program. */
function workOf(programs: readonly Program[]): ResolvedRun['work'] {
  const [only] = programs;
  if (programs.length === 1 && only?.kind === 'host') return { kind: 'host', program: only };
  const steps = programs.filter((each): each is StepProgram => each.kind === 'step');
  if (steps.length !== programs.length) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'a host program cannot share a run with other programs; run it alone');
  }
  return { kind: 'step', programs: steps };
}

/** Lists the programs, one for all samples or one per sample, and counts the samples. */
export function programsAndCount(
  program: Program | readonly Program[],
  count: number | undefined,
): { programs: readonly Program[]; count: number } {
  if (Array.isArray(program)) requireKind('the programs', program, kinds.list);
  const programs: readonly Program[] = Array.isArray(program) ? (program as readonly Program[]) : [program as Program];
  programs.forEach(requireProgram);
  if (programs.length === 0) throw new DpmError('ERR_DPM_ARGUMENT', 'run needs at least one program');
  const samples = checkedCount('count', count ?? programs.length);
  if (programs.length !== 1 && programs.length !== samples) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `${programs.length} programs for ${samples} samples: give one, or one per sample`,
    );
  }
  return { programs, count: samples };
}

/** Checks the number of samples. @throws {@link DpmError} `ERR_DPM_ARGUMENT` for more samples than a seed has. */
export function requireStreams({ first = runDefaults.first }: RunOptions, count: number): void {
  if (count > MOST_SAMPLES) throw wrongValue('count', count, 'at most 2^32');
  if (first + count > MOST_SAMPLES) throw wrongValue('first', first, `at most 2^32 less the count of ${count}`);
}

/** Computes the number of samples evaluated at once. */
export function batchOf({ batch }: RunOptions, count: number): number {
  return Math.min(checkedCount('batch', batch ?? runDefaults.batch), count);
}

/** Computes how often the states of a run are kept at most: at the end, and for `snapshotEvery`. */
function statesKept(work: ResolvedRun['work'], snapshotEvery: number): number {
  if (work.kind === 'host' || snapshotEvery === 0) return 1;
  const records = work.programs.reduce((most, program) => Math.max(most, program.records.length), 0);
  return 1 + Math.floor(records / snapshotEvery);
}

function checkedSnapshots(work: ResolvedRun['work'], snapshotEvery: number): number {
  if (!Number.isInteger(snapshotEvery) || snapshotEvery < 0) {
    throw wrongValue('snapshotEvery', snapshotEvery, 'an integer from 0');
  }
  if (work.kind === 'host' && snapshotEvery !== 0) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'snapshotEvery has no meaning for a host program, which has no records');
  }
  return snapshotEvery;
}

/** Copies values that the caller can change meanwhile. */
export function copyOf(values: number | ArrayLike<number> | undefined): number | number[] | undefined {
  // An array that was transferred away has no elements.
  return typeof values === 'object' ? Array.prototype.slice.call(values) : values;
}

function labelsOf(
  network: RunNetwork,
  labels: number | readonly number[] | undefined,
  count: number,
): Int32Array | null {
  if (typeof labels !== 'number') return network.labels(labels, count);
  return new Int32Array(count).fill(at(network.labels([labels], 1) ?? [], 0));
}

/** Checks the options of previews. @throws {@link DpmError} `ERR_DPM_ARGUMENT` for an interval without a function. */
export function requirePreviews({ onPreview, previewEvery }: Pick<RunOptions, 'onPreview' | 'previewEvery'>): void {
  if (previewEvery === undefined || onPreview !== undefined) return;
  throw new DpmError('ERR_DPM_ARGUMENT', 'previewEvery is for onPreview, which is missing');
}

/** Checks initial states. @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or, if not finite, `ERR_DPM_ARGUMENT`. */
export function requireInit({ init }: RunOptions, count: number, sampleShape: readonly number[]): void {
  if (init === undefined) return;
  requireFinite('init', init);
  if (init.length === count * elementCount(sampleShape)) return;
  const shape = [count, ...sampleShape].join(', ');
  throw new DpmError('ERR_DPM_TENSOR_SHAPE', `init has ${init.length} elements, it has to be [${shape}]`);
}

/**
 * Makes a run from its options, whose kinds have been checked. Reads the caller's arrays before it waits for anything.
 *
 * @param place - Index of the first sample in the caller's request, of which the options describe a part.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` or `ERR_DPM_TENSOR_SHAPE` naming the wrong option,
 * `ERR_DPM_OUT_OF_MEMORY` if the results would not fit into this machine's memory.
 */
export async function resolveRun(
  model: RunModel,
  program: Program | readonly Program[],
  options: ResolvableOptions,
  place = 0,
): Promise<ResolvedRun> {
  const { programs, count } = programsAndCount(program, options.count);
  const work = workOf(programs);
  const { format = runDefaults.format, seed = runDefaults.seed } = options;
  if (!imageFormats.includes(format)) throw unknownName('format', format, imageFormats);
  requirePreviews(options);
  const total = count * elementCount(model.sampleShape);
  const states = statesKept(work, checkedSnapshots(work, options.snapshotEvery ?? 0));
  const bytes = format === 'uint8' ? 1 : Float32Array.BYTES_PER_ELEMENT;
  requireMemory(
    states > 1 ? `count is ${count}, with ${states} states of each` : `count is ${count}`,
    total * states,
    bytes,
  );
  requireStreams(options, place + count);
  requireInit(options, count, model.sampleShape);
  const init = options.init === undefined ? null : Float32Array.from(options.init);
  const noise = options.noise === undefined ? null : flattenNoise(options.noise, total);
  const batch = batchOf(options, count);
  const [classLabels, guidance] = [copyOf(options.classLabels), copyOf(options.guidance)];
  const own = { ...options, guidance, guides: options.guides?.slice() };
  const { seeds } = options;
  if (seeds !== undefined && work.kind === 'host') {
    throw new DpmError('ERR_DPM_ARGUMENT', 'a sampler that chooses its own steps takes one seed for all samples');
  }
  const network = await untilAborted(options.signal, () => model.network(commonHead(programs)));
  return {
    work,
    model,
    network,
    count,
    firstSample: (own.first ?? 0) + (seeds === undefined ? place : 0),
    seed,
    seeds: seeds ?? null,
    labels: labelsOf(network, classLabels, count),
    guidance: checkedGuidance(own, network.info, count, model.labelForNone),
    init,
    noise,
    batch,
    options: own,
    place,
  };
}
