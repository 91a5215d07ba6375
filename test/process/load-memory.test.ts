// Weights are mapped, converted and packed one tensor at a time: loading takes little more than what it leaves.
import { execFileSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { elementCount } from '../../lib/base/arrays.js';
import { familyByName } from '../../lib/checkpoint/families/index.js';
import { presets } from '../../lib/checkpoint/presets.js';
import { safetensorsHeader } from '../../lib/files/tensor-data.js';
import { requiredTensors } from '../../lib/network/cost.js';
import { unetGraph } from '../../lib/network/unet.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

const preset = 'ddpm-cifar10';

/** A checkpoint of zeros, which take no room in the file; returns the bytes of its largest tensor. */
function writeZeros(path: string): number {
  const network = familyByName('ho').network(presets[preset]!, preset);
  const tensors = [...requiredTensors(unetGraph(network.unet))].map(([name, shape]) => ({
    name: network.source(name, shape).key,
    dtype: 'F32' as const,
    shape,
    bytes: 4 * elementCount(shape),
  }));
  const parts = safetensorsHeader(tensors, {});
  writeFileSync(path, Buffer.concat(parts));
  truncateSync(path, parts[0].length + parts[1].length + tensors.reduce((sum, { bytes }) => sum + bytes, 0));
  return Math.max(...tensors.map(({ bytes }) => bytes));
}

describe('loading', () => {
  it('takes private memory for the packed weights and one tensor', () => {
    const path = join(temporaryFolder(), 'zeros.safetensors');
    const largest = writeZeros(path);
    const script = packagePath('test/support/load-memory.mjs');
    const output = execFileSync(process.execPath, [script, path, preset, 'f32'], { encoding: 'utf8' });
    const { grown, weightBytes } = JSON.parse(output) as { grown: number; weightBytes: number };
    expect(weightBytes).toBeGreaterThan(4 * 35_000_000);
    expect(grown).toBeGreaterThan(0.5 * weightBytes);
    expect(grown).toBeLessThan(1.2 * weightBytes + largest);
  });
});
