// `dpm gradient` and `dpm nll --flow`.
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats, writeSafetensors, type HostTensor } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { maxDifference } from '../../support/golden.js';
import { strokes } from '../../support/digits.js';
import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const network = packagePath('test/fixtures/unet/ho-ddpm-head-complex');
const folder = temporaryFolder();

async function tensorsOf(path: string): Promise<Map<string, HostTensor>> {
  const header = await readSafetensorsHeader(path);
  const found = new Map<string, HostTensor>();
  for (const [name, { shape }] of header.tensors)
    found.set(name, { shape, data: (await readFloats(header, name)).data });
  return found;
}

/** A file with the network's inputs and these tensors. */
async function inputWith(name: string, more: Record<string, HostTensor>): Promise<string> {
  const inputs = await tensorsOf(join(network, 'input.safetensors'));
  const path = join(folder, `${name}.safetensors`);
  await writeSafetensors(path, new Map([...inputs, ...Object.entries(more)]));
  return path;
}

const gradient = (input: string, output: string, ...more: string[]) =>
  dpm('gradient', network, '--device', 'cpu', '--input', input, '--output', output, ...more);

describe('dpm gradient', () => {
  it('writes what is pulled back and pushed forward', async () => {
    const golden = await tensorsOf(packagePath('test/fixtures/gradients/vjp/ho-ddpm-head-complex.safetensors'));
    const all = golden.get('cotangent')!;
    const [batch = 0] = all.shape;
    const each = all.data.length / batch;
    const half = (part: number): HostTensor => ({
      shape: [batch, 3, 16, 16],
      data: Float32Array.from({ length: (batch * each) / 2 }, (_, i) => {
        const [n, element] = [Math.floor(i / (each / 2)), i % (each / 2)];
        return all.data[n * each + (part * each) / 2 + element] as number;
      }),
    });
    const more = { cotangent: half(0), head_cotangent: half(1), tangent: golden.get('tangent')! };
    const output = join(folder, 'new', 'derivatives.safetensors');
    const told = await gradient(await inputWith('all', more), output, '--head', 'npr', '--json');
    expect(told.stderr).toBe('');
    const names = ['out', 'head', 'vjp', 'jvp', 'head_jvp'];
    expect(JSON.parse(told.stdout)).toEqual({ output, tensors: names });
    const found = await tensorsOf(output);
    expect([...found.keys()].sort()).toEqual([...names].sort());
    const vjp = golden.get('vjp')!.data as Float32Array;
    expect(found.get('vjp')!.shape).toEqual([batch, 3, 16, 16]);
    expect(maxDifference(found.get('vjp')!.data as Float32Array, vjp)).toBeLessThan(5e-5 * Math.max(...vjp));
  });

  it('computes blocks again where it is told to, and nothing else', async () => {
    const golden = await tensorsOf(packagePath('test/fixtures/gradients/vjp/ho-ddpm-head-complex.safetensors'));
    const [batch = 0] = golden.get('vjp')!.shape;
    const shape = [batch, 3, 16, 16];
    const input = await inputWith('again', { cotangent: { shape, data: new Float32Array(batch * 768).fill(0.1) } });
    const found = await Promise.all(
      ['none', 'norms', 'blocks'].map(async (policy) => {
        const output = join(folder, `${policy}.safetensors`);
        expect((await gradient(input, output, '--recompute', policy)).stderr).toBe('');
        return (await tensorsOf(output)).get('vjp')!.data as Float32Array;
      }),
    );
    expect(maxDifference(found[0]!, found[1]!)).toBeLessThan(1e-5 * Math.max(...found[0]!));
    const tangent = { shape, data: new Float32Array(batch * 768) };
    const forward = await gradient(
      await inputWith('forward', { tangent }),
      join(folder, 'y.safetensors'),
      '--recompute',
      'blocks',
    );
    expect(forward.stderr).toContain('--recompute is for cotangents');
    const wrong = await gradient(input, join(folder, 'x.safetensors'), '--recompute', 'all');
    expect(wrong.stderr).toContain('--recompute');
  });

  it('writes the gradients of weights where it is told to', async () => {
    const tiny = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny');
    const input = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny.safetensors');
    const output = join(folder, 'weights.safetensors');
    const options = ['--device', 'reference', '--input', input, '--output', output];
    const told = await dpm('gradient', tiny, ...options, '--weights', '--json');
    expect(told.stderr).toBe('');
    const [golden, found] = [await tensorsOf(input), await tensorsOf(output)];
    const names = [...golden.keys()].filter((name) => name === 'vjp' || name.startsWith('grad.'));
    expect(names.length).toBeGreaterThan(90);
    // The file has no tensors whose gradient vanishes: biases of keys.
    const others = [...found.keys()].filter((name) => !names.includes(name));
    expect(others.every((name) => name === 'out' || name.endsWith('.to_k.bias'))).toBe(true);
    for (const name of names) {
      const [expected, own] = [golden.get(name)!, found.get(name)!];
      expect(own.shape, name).toEqual(expected.shape);
      const largest = Math.max(...(expected.data as Float32Array).map(Math.abs));
      const difference = maxDifference(own.data as Float32Array, expected.data as Float32Array);
      expect(difference, name).toBeLessThan(5e-5 * largest);
    }
    const tangent = { shape: [1, 3, 16, 16], data: new Float32Array(768) };
    const forward = await gradient(await inputWith('weightless', { tangent }), output, '--weights');
    expect(forward.stderr).toContain('--weights is for cotangents');
  });

  it('pushes forward with the labels of the file', async () => {
    const tiny = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny');
    const golden = await tensorsOf(packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny.safetensors'));
    const [x, t] = [golden.get('x')!, golden.get('t')!];
    const labels = Int32Array.from(golden.get('class_labels')!.data as Float32Array);
    const input = join(folder, 'labels.safetensors');
    const output = join(folder, 'labelled.safetensors');
    await writeSafetensors(input, { x, t, tangent: x, class_labels: { shape: [labels.length], data: labels } });
    const told = await dpm('gradient', tiny, '--device', 'cpu', '--input', input, '--output', output);
    expect(told.stderr).toBe('');
    await using model = await DiffusionModel.load(tiny, { device: 'cpu' });
    const values = x.data as Float32Array;
    const times = t.data as Float32Array;
    const { tangent } = await model.unet.pushforward(values, times, { classLabels: labels, tangent: values });
    expect((await tensorsOf(output)).get('jvp')!.data).toEqual(tangent);
  });

  it('needs something to derive by, of the right shape', async () => {
    const output = join(folder, 'none.safetensors');
    const bare = await gradient(await inputWith('bare', {}), output);
    expect(bare.stderr).toMatch(/ERR_DPM_TENSOR_MISSING.*neither cotangent/);
    const narrow = { tangent: { shape: [1, 3, 8, 8], data: new Float32Array(192) } };
    const wrong = await gradient(await inputWith('narrow', narrow), output);
    expect(wrong.stderr).toMatch(/ERR_DPM_TENSOR_SHAPE.*tangent is \[1, 3, 8, 8\]/);
    const short = { cotangent: { shape: [1, 3, 16, 16], data: new Float32Array(768) } };
    expect((await gradient(await inputWith('short', short), output)).stderr).toMatch(/cotangent is \[1, 3, 16, 16\]/);
  });
});

describe('dpm nll --flow', () => {
  const data = join(folder, 'images.safetensors');
  const nll = (...options: string[]) => dpm('nll', 'mnist', '--device', 'cpu', '--data', data, ...options);

  it('tells the bits per dimension and how sure they are', async () => {
    await writeSafetensors(data, new Map([['images', { shape: [2, 1, 28, 28], data: strokes(2) }]]));
    const options = ['--flow', '--rtol', '0.1', '--atol', '0.1', '--repeats', '2', '--batch', '1', '--seed', '3'];
    const told = await nll(...options, '--json');
    expect(told.stderr).toBe('');
    const found = JSON.parse(told.stdout) as { total: { bits: number }; bits: number[]; images: number };
    expect(found).toMatchObject({ images: 2, dimensions: 784, device: 'cpu' });
    expect(found.bits).toHaveLength(2);
    expect(found.total.bits).toBeCloseTo((found.bits[0]! + found.bits[1]!) / 2, 10);
    const shown = await nll(...options);
    expect(shown.stdout).toContain(found.total.bits.toPrecision(5));
    expect(shown.stdout).toMatch(/probability flow.*\n.*probes.*\n2 images, \d+ evaluations each/);
    for (const other of [
      ['--samples', '1'],
      ['--probe', 'gaussian'],
      ['--batch-norm', 'reference', '--batch', '2'],
    ]) {
      const { stdout } = await nll(...options, '--json', ...other);
      expect((JSON.parse(stdout) as typeof found).total.bits, other.join(' ')).not.toBe(found.total.bits);
    }
  });

  it.each([
    [['--flow', '--sampler', 'ddpm'], '--sampler is for bounds'],
    [['--flow', '--steps', '10'], '--steps is for bounds'],
    [['--flow', '--decoder', 'tanh'], '--decoder is for bounds'],
    [['--sampler', 'ddpm', '--repeats', '2'], '--repeats is for --flow'],
    [['--sampler', 'ddpm', '--atol', '2'], '--atol is for --flow'],
    [['--flow', '--probe', 'sobol'], '--probe is'],
    [['--flow', '--class', '3'], 'not class-conditional'],
  ])('%j: %s', async (options, message) => {
    const told = await nll(...options);
    expect(told.code).not.toBe(0);
    expect(told.stderr).toContain(message);
  });
});
