import { isFloat32Array } from '../base/option-kinds.js';
import { rowsOfWeight } from '../guidance/classifier-free.js';
import type { StepProgram } from '../program/program.js';
import { runDefaults } from '../run/options.js';
import { copyOf, type ResolvableOptions } from '../run/resolve.js';
import type { SamplerOptions } from '../samplers/options.js';
import type { Demand } from './admission.js';
import type { BatchRunOptions } from './options.js';

/** What is done for a request beside its run. */
export interface Preparation {
  /** Rows of each sample's evaluations, as the batch's curve counts them. */
  readonly rows: readonly number[];
  /** Milliseconds of the device that each sample takes beside its evaluations. */
  readonly besideEach: number;
  /** Bytes that it holds. */
  readonly bytes: number;
  /** True for a request that can be in no batch of several, as a function moves its states. */
  readonly isAlone: boolean;
  /** Completes the options of the run, once the request is accepted. */
  begin(signal: AbortSignal): Promise<Partial<ResolvableOptions>>;
  /** Waits for what follows the run. */
  finish(signal: AbortSignal): Promise<void>;
  /** Gives back what was taken, however the request has ended. */
  release(): void;
}

/** Evaluations that a solver of third order leaves out where its last step would not be whole. */
const LEFT_OUT = 2;

/**
 * The evaluations that a sampler takes at least with these options, which nobody has checked; undefined where they do not tell.
 */
export function leastEvaluations({ steps, timesteps, levels }: SamplerOptions): number | undefined {
  if (timesteps !== undefined || levels !== undefined || !Number.isInteger(steps)) return undefined;
  return Math.max(1, Number(steps) - LEFT_OUT);
}

function evaluationsOf(program: StepProgram): number {
  return program.records.reduce((sum, { evaluate }) => sum + (evaluate ? 1 : 0), 0);
}

/** Computes the bytes that `snapshotEvery` keeps of every sample. */
function snapshotBytes(programs: readonly StepProgram[], elements: number, options: BatchRunOptions): number {
  const { snapshotEvery = runDefaults.snapshotEvery, format } = options;
  if (!(snapshotEvery > 0)) return 0;
  const longest = programs.reduce((most, { records }) => Math.max(most, records.length), 0);
  return Math.floor(longest / snapshotEvery) * elements * (format === 'uint8' ? 1 : Float32Array.BYTES_PER_ELEMENT);
}

/** Counts the bytes of the states and noise that a request brings. */
function givenBytes({ init, noise }: BatchRunOptions): number {
  const slices: readonly Float32Array[] = noise === undefined ? [] : isFloat32Array(noise) ? [noise] : noise;
  return slices.reduce((sum, slice) => sum + slice.byteLength, init?.byteLength ?? 0);
}

/** Copies a caller's array; one that was transferred away has no elements. */
function kept(values: Float32Array): Float32Array {
  return values.length === 0 ? values : values.slice();
}

/** Copies the arrays of a request that has to wait before its run reads them; the caller may change its own meanwhile. */
export function heldOptions<T extends BatchRunOptions>(options: T): { held: T; bytes: number } {
  const { init, noise, classLabels, guidance } = options;
  const copies = {
    init: init && kept(init),
    noise: noise === undefined || isFloat32Array(noise) ? noise && kept(noise) : Array.from(noise, kept),
    classLabels: copyOf(classLabels),
    guidance: copyOf(guidance),
  };
  return { held: { ...options, ...copies }, bytes: givenBytes(options) };
}

/** Computes the resources that the samples need from the batch. */
export function demandOf(
  programs: readonly StepProgram[],
  count: number,
  elements: number,
  { options, preparation }: { options: BatchRunOptions; preparation: Preparation | null },
): Demand {
  const evaluations = programs.map(evaluationsOf);
  const { guidance = runDefaults.guidance } = options;
  const samples = Array.from({ length: count }, (_, sample) => {
    const weight = typeof guidance === 'number' ? guidance : (guidance[sample] ?? 1);
    return {
      evaluations: evaluations[programs.length === 1 ? 0 : sample] ?? 0,
      rows: preparation?.rows[sample] ?? rowsOfWeight(weight),
      beside: preparation?.besideEach ?? 0,
    };
  });
  const bytes = (preparation?.bytes ?? 0) + givenBytes(options) + count * snapshotBytes(programs, elements, options);
  return { samples, bytes };
}
