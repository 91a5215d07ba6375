// Checkpoints are written and read one tensor at a time: with what begins a run they take no more than `trainer.memory` tells.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import type { TrainingMemory } from '../../lib/index.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

/** A network of Ho's code of 34 MiB, whose kernels lie otherwise in its files than in the engine. */
const network = {
  family: 'ho',
  resolution: 8,
  ch: 64,
  ch_mult: [1, 2, 2, 2],
  num_res_blocks: 2,
  attn_resolutions: [4],
};

/** What else a process takes while it trains, such as code. */
const OTHERS = 16 * 2 ** 20;

interface Report {
  begun: number;
  /** Bytes of the weights. */
  weights: number;
  opened: number;
  stepped: number[];
  saved: number[];
  memory: TrainingMemory;
}

function run(out: string): Report {
  // V8 would let its young generation grow by 16 MiB, at times that chance says.
  const heap = '--max-semi-space-size=2';
  const args = [heap, packagePath('test/support/training-memory.mjs'), JSON.stringify(network), out];
  // Memory that is freed goes back to the system at once, with glibc.
  const env = { ...process.env, MALLOC_MMAP_THRESHOLD_: '65536' };
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', env })) as Report;
}

it.skipIf(process.platform !== 'linux')('a run takes as much as is told, its checkpoints included', () => {
  const out = join(temporaryFolder(), 'run');
  for (const begun of [0, 3]) {
    const report = run(out);
    const { weights, opened, stepped, saved, memory } = report;
    expect(report.begun).toBe(begun);
    expect(weights).toBeGreaterThan(2 * OTHERS);
    expect(memory.checkpoints).toBeGreaterThanOrEqual(3 * weights);
    expect(memory.checkpoints).toBeLessThan(3.01 * weights);
    expect(Math.max(opened, ...saved)).toBeLessThan(memory.total + OTHERS);
    // A part at a time, of which there is no second copy.
    expect(Math.min(...saved.map((most, i) => most - (stepped[i] ?? 0)))).toBeLessThan(1.5 * weights);
    // A checkpoint is read into one array, which the engine copies.
    if (begun > 0) expect(opened).toBeLessThan(memory.parameters + memory.packed + 2 * weights + OTHERS);
  }
});
