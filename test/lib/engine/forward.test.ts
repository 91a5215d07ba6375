import '../../support/emulated-cuda.js';

import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { devices } from '../../../lib/engine/device.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';

const names = devices()
  .filter(({ usable }) => usable)
  .map(({ name }) => name);
const cases = names.flatMap((device) =>
  ['diffusers-ddpm', 'diffusers-adm'].map((network) => [network, device] as const),
);

describe.each(cases)('%s on %s', (network, device) => {
  const folder = packagePath(`test/fixtures/unet/${network}`);
  let model: DiffusionModel;
  let x: Float32Array;
  let t: Float32Array;
  let labels: Float32Array | undefined;
  let expected: Float32Array;

  beforeAll(async () => {
    model = await DiffusionModel.load(folder, { device, exact: true });
    const input = await readSafetensorsHeader(join(folder, 'input.safetensors'));
    x = (await readFloats(input, 'x')).data;
    t = (await readFloats(input, 't')).data;
    labels = input.tensors.has('class_labels') ? (await readFloats(input, 'class_labels')).data : undefined;
    expected = (await readFloats(await readSafetensorsHeader(join(folder, 'expected.safetensors')), 'out')).data;
  });
  afterAll(() => model.close());

  const tolerance = (): number => 2e-5 * Math.max(1, ...expected.map(Math.abs));

  it('gives the reference implementation its prediction', async () => {
    const { out, head } = await model.unet.forward(x, t, { classLabels: labels });
    expect(head).toBeNull();
    expect(maxDifference(out, expected)).toBeLessThan(tolerance());
  });

  it('works on device tensors and reuses what it is given', async () => {
    const { height, width, inChannels, outChannels } = model.unet.info;
    const input = model.device.tensor([t.length, inChannels, height, width]);
    const reusable = model.device.tensor([t.length, outChannels, height, width]);
    await input.write(x);
    const { out } = await model.unet.forward(input, t, { classLabels: labels, out: reusable });
    expect(out).toBe(reusable);
    expect(maxDifference(await out.read(), expected)).toBeLessThan(tolerance());
    const array = new Float32Array(expected.length);
    expect((await model.unet.forward(x, t, { classLabels: labels, out: array })).out).toBe(array);
  });

  it('refuses arguments that do not fit', async () => {
    const { unet } = model;
    await expect(unet.forward(x.subarray(1), t, { classLabels: labels })).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_SHAPE',
    });
    await expect(unet.forward(x, [1, 2, 3], { classLabels: labels })).rejects.toThrow(/3 times for/);
    await expect(unet.forward(x, NaN, { classLabels: labels })).rejects.toThrow(/finite/);
    const wrong = labels === undefined ? [0, 0] : [0, 10];
    await expect(unet.forward(x, t, { classLabels: wrong })).rejects.toThrow(
      labels === undefined ? /not class-conditional/ : /an integer from 0 to 9/,
    );
  });
});
