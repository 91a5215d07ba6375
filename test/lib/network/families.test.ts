// Networks of the public checkpoint families against their original implementations.
import '../../support/emulated-cuda.js';

import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';

async function tensor(path: string, name: string): Promise<Float32Array | undefined> {
  const header = await readSafetensorsHeader(path);
  return header.tensors.has(name) ? (await readFloats(header, name)).data : undefined;
}

const names = [
  'ho-ddpm',
  'ho-ddpm-head-complex',
  'openai-adm-class',
  'openai-iddpm',
  'score-sde-ddpm',
  'score-sde-ddpmpp',
  'score-sde-ncsnpp-fir',
  'edm-ddpmpp',
];

describe.each(['cpu', 'reference', 'cuda:0'])('checkpoint families on %s', (device) => {
  it.each(names)('%s', async (name) => {
    const folder = packagePath(`test/fixtures/unet/${name}`);
    const expected = (await tensor(join(folder, 'expected.safetensors'), 'out'))!;
    const head = await tensor(join(folder, 'expected.safetensors'), 'head');
    await using model = await DiffusionModel.load(folder, {
      device,
      exact: true,
      head: head === undefined ? null : 'npr',
    });
    const input = join(folder, 'input.safetensors');
    const [x, t] = [(await tensor(input, 'x'))!, (await tensor(input, 't'))!];
    const found = await model.unet.forward(x, t, { classLabels: await tensor(input, 'class_labels') });
    const tolerance = 2e-5 * Math.max(1, ...expected.map(Math.abs));
    expect(maxDifference(found.out, expected)).toBeLessThan(tolerance);
    if (head === undefined) expect(found.head).toBeNull();
    else expect(maxDifference(found.head!, head)).toBeLessThan(2e-5 * Math.max(1, ...head.map(Math.abs)));
  });
});
