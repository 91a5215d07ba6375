import { at, joined } from '../base/arrays.js';
import { seedWords } from '../base/random.js';
import type { NativeRunRequest } from '../engine/binding.js';
import { packRecords, RECORD_BYTES } from '../program/pack.js';
import type { StepProgram } from '../program/program.js';
import { requireSlices } from './noise-source.js';
import type { RunInputs } from './resolve.js';
import { runDefaults } from './options.js';

/** Options of a run of the native loop beside its inputs. */
export interface StepRunOptions extends RunInputs {
  /** Function that packs a program's records. Default {@link packRecords}. */
  pack?: ((program: StepProgram) => Uint8Array) | undefined;
  snapshotEvery?: number | undefined;
  levels?: boolean | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
  previewEvery?: number;
  onPreview?: NativeRunRequest['onPreview'];
}

function noisyRecords(program: StepProgram): number {
  return program.records.filter((record) => record.variance.kind !== 'none').length;
}

/** Finds the distinct program that each sample runs. */
function sampleProgram(
  programs: readonly StepProgram[],
  indexOf: ReadonlyMap<StepProgram, number>,
  count: number,
): Uint32Array {
  const own = new Uint32Array(count);
  if (programs.length > 1) programs.forEach((program, sample) => (own[sample] = indexOf.get(program) ?? 0));
  return own;
}

/** Seed and index of each sample's noise: consecutive samples of one seed, or the same sample of a seed each. */
function streamWords({ seed, seeds, firstSample, count }: StepRunOptions): Uint32Array {
  const words = new Uint32Array(3 * count);
  const common = seedWords(seed);
  for (let sample = 0; sample < count; ++sample) {
    const [low, high] = seeds === null ? common : seedWords(at(seeds, sample));
    words[3 * sample] = low;
    words[3 * sample + 1] = high;
    words[3 * sample + 2] = seeds === null ? firstSample + sample : firstSample;
  }
  return words;
}

/** Makes a request of the native loop: one program for all samples, or one per sample. Equal programs are sent once. */
export function nativeRequest(
  programs: readonly StepProgram[],
  options: StepRunOptions,
  sampleElements: number,
): NativeRunRequest {
  const { count, noise, snapshotEvery = runDefaults.snapshotEvery, levels = false, onPreview = null } = options;
  const distinct = [...new Set(programs)];
  const indexOf = new Map(distinct.map((program, index) => [program, index]));
  // Packing checks the records, so it comes before anything is read from them.
  const packed = distinct.map(options.pack ?? packRecords);
  const mostNoisy = distinct.reduce((most, program) => Math.max(most, noisyRecords(program)), 0);
  if (noise !== null) requireSlices(noise, count * sampleElements, mostNoisy);
  let firstRecord = 0;
  const table = distinct.flatMap((program, index) => {
    const first = firstRecord;
    firstRecord += (packed[index]?.length ?? 0) / RECORD_BYTES;
    return [first, program.records.length, program.history];
  });
  return {
    records: joined(Uint8Array, packed),
    programs: Uint32Array.from(table),
    initialScale: Float32Array.from(distinct, (program) => program.initialScale),
    sampleProgram: sampleProgram(programs, indexOf, count),
    sampleStream: streamWords(options),
    labels: options.labels,
    guidance: options.guidance?.weights ?? null,
    unconditionalLabel: options.guidance?.unconditionalLabel ?? -1,
    init: options.init,
    noise,
    batch: options.batch,
    snapshotEvery,
    levels,
    cancel: null,
    onProgress: options.onProgress ?? null,
    previewEvery: onPreview === null ? 0 : (options.previewEvery ?? 1),
    onPreview,
  };
}
