// The native sampling loop against the float64 interpreter: random programs over every feature of the record, all in
// one batch, compared after every record.
import '../../support/emulated-cuda.js';

import { describe, expect, it } from 'vitest';

import { DiffusionModel } from '../../../lib/model.js';
import type { StepProgram } from '../../../lib/program/program.js';
import { registers } from '../../support/interpreter.js';
import { interpretRecord, largestError } from '../../support/native-record.js';
import { initialRecord, normals } from '../../support/philox.js';
import { randomProgram } from '../../support/random-program.js';
import { packagePath } from '../../support/temporary.js';

const folder = packagePath('models/mnist');
const elements = 28 * 28;
const seed = 11;

/** Random programs of different lengths that read the network's second output. */
function mixedPrograms(count: number): StepProgram[] {
  return Array.from({ length: count }, (_, i) => ({ ...randomProgram(100 + i, 3 + (i % 5)), head: 'sn' as const }));
}

describe('the native runner', () => {
  it.each(['cpu', 'reference', 'cuda:0'])('equals the interpreter after every record on %s', async (device) => {
    await using model = await DiffusionModel.load(folder, { device, head: 'sn', exact: true });
    const programs = mixedPrograms(device === 'cpu' ? 12 : 3);
    const { snapshots } = await model.run(programs, { seed, snapshotEvery: 1, batch: programs.length });
    for (const [sample, program] of programs.entries()) {
      const initial = normals({ seed: [seed, 0], sampleIndex: sample, record: initialRecord, draw: 0 }, elements);
      const state = registers(
        initial.map((value) => program.initialScale * value),
        program.history,
      );
      for (const [index, record] of program.records.entries()) {
        await interpretRecord(model, record, state, { seed, sampleIndex: sample, record: index });
        const { images } = snapshots[index]!;
        const actual = images.data.subarray(sample * elements, (sample + 1) * elements);
        // Each record adds its own rounding to what came before.
        expect(largestError(actual, state.x), `program ${sample}, record ${index}`).toBeLessThan(1e-5 * (index + 1));
      }
    }
  });

  it('gives the same bits for any batch and any number of threads', async () => {
    const programs = mixedPrograms(64);
    const results: Float32Array[] = [];
    for (const threads of [1, 2]) {
      await using model = await DiffusionModel.load(folder, { device: 'cpu', threads, head: 'sn' });
      for (const batch of [1, 7, 64]) results.push((await model.run(programs, { seed, batch })).images.data);
    }
    for (const result of results.slice(1)) expect(result).toEqual(results[0]);
    expect(results[0]!.every(Number.isFinite)).toBe(true);
  });
});
