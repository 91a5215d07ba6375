// Training on the emulated CUDA device, through the library, beside the cpu.
import '../support/emulated-cuda.js';

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { Trainer, type TrainerOptions } from '../../lib/index.js';
import { temporaryFolder } from '../support/temporary.js';
import { tinyClassifier, tinyNetwork, tinyRun } from '../support/training-data.js';

const folder = temporaryFolder();

async function losses(changed: Partial<TrainerOptions>): Promise<number[]> {
  await using trainer = await Trainer.open(tinyRun({ steps: 3, accumulate: 2, ...changed }));
  const found: number[] = [];
  for await (const { loss, gradientNorm } of trainer) found.push(loss, gradientNorm);
  return found;
}

describe('training on the emulated CUDA device', () => {
  it.each([
    ['f32', 1e-5],
    ['bf16', 3e-2],
  ] as const)('has the losses and norms of the cpu in %s', async (dtype, tolerance) => {
    const expected = await losses({ device: 'cpu' });
    const found = await losses({ device: 'cuda', dtype, threads: undefined });
    found.forEach((value, i) => {
      expect(Math.abs(value / expected[i]! - 1)).toBeLessThan(tolerance);
    });
  });

  it('has the losses and norms of the cpu for a classifier', async () => {
    const expected = await losses({ network: tinyClassifier, device: 'cpu' });
    const found = await losses({ network: tinyClassifier, device: 'cuda', dtype: 'f32', threads: undefined });
    found.forEach((value, i) => {
      expect(Math.abs(value / expected[i]! - 1)).toBeLessThan(2e-5);
    });
  });

  it('has the losses and norms of the cpu for a learned variance', async () => {
    const network = { ...(JSON.parse(await readFile(tinyNetwork, 'utf8')) as object), out_channels: 6 };
    const expected = await losses({ network, device: 'cpu' });
    const found = await losses({ network, device: 'cuda', dtype: 'f32', threads: undefined });
    found.forEach((value, i) => {
      expect(Math.abs(value / expected[i]! - 1)).toBeLessThan(1e-5);
    });
  });

  it.each([
    ['f32', 1e-5],
    ['bf16', 3e-2],
  ] as const)('drops out what the cpu does in %s', async (dtype, tolerance) => {
    const [dropped, whole] = [await losses({ dropout: 0.9, device: 'cpu' }), await losses({ device: 'cpu' })];
    const found = await losses({ dropout: 0.9, device: 'cuda', dtype, threads: undefined });
    expect(Math.abs(whole[1]! / dropped[1]! - 1)).toBeGreaterThan(2 * tolerance);
    found.forEach((value, i) => {
      expect(Math.abs(value / dropped[i]! - 1)).toBeLessThan(tolerance);
    });
  });

  it('goes on to the bit', async () => {
    const [whole, parts] = [join(folder, 'whole'), join(folder, 'parts')];
    const options = { device: 'cuda', dtype: 'f32', threads: undefined, steps: 3 } as const;
    await using trainer = await Trainer.open(tinyRun({ ...options, out: whole }));
    await trainer.run();
    const first = await Trainer.open(tinyRun({ ...options, out: parts }));
    await first.step();
    await first.save();
    await first.close();
    await using second = await Trainer.open(tinyRun({ ...options, out: parts }));
    expect(second.begun).toBe(1);
    await second.run();
    expect(await second.tensors('parameters')).toEqual(await trainer.tensors('parameters'));
    expect(await second.tensors('average')).toEqual(await trainer.tensors('average'));
  });
});
