// Files that PyTorch wrote, read and compared with what it says is in them.
import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import {
  pytorchCheckpoint,
  PytorchTensor,
  readPytorchFile,
  readPytorchFloats,
  tensorsOf,
  valueAt,
  type PickleValue,
  type PytorchFile,
} from '../../../../lib/checkpoint/pytorch/index.js';
import { packagePath } from '../../../support/temporary.js';

const folder = packagePath('test/fixtures/pytorch');
const expected = JSON.parse(readFileSync(`${folder}/expected.json`, 'utf8')) as Record<string, unknown>;
const written = readdirSync(folder).filter(
  (name) => name.endsWith('.pt') && Object.hasOwn(expected, name.replace(/\..*/, '')),
);
const open = (name: string): Promise<PytorchFile> => readPytorchFile(`${folder}/${name}`);

/** A value in the terms of expected.json. */
async function described(file: PytorchFile, value: PickleValue): Promise<unknown> {
  if (value instanceof PytorchTensor) {
    const values = [...(await readPytorchFloats(file, 'x', value))];
    return { dtype: value.dtype, shape: value.shape, stride: value.stride, values };
  }
  if (value instanceof Map) {
    const items: unknown[] = [];
    for (const [key, entry] of value) items.push([await described(file, key), await described(file, entry)]);
    return { dict: items };
  }
  if (Array.isArray(value)) return Promise.all(value.map((entry) => described(file, entry)));
  if (value instanceof Uint8Array) return { bytes: [...value] };
  return typeof value === 'bigint' ? { int: String(value) } : value;
}

describe('files of PyTorch', () => {
  it('are all there', () => {
    expect(written).toHaveLength(19);
  });

  it.each(written)('%s', async (name) => {
    const [stem = '', form] = name.split('.');
    const file = await open(name);
    expect(file.form).toBe(form);
    expect(await described(file, file.root)).toEqual(expected[stem]);
  });
});

describe('state dicts', () => {
  it('are found by keys and indices, entries that are no tensors listed', async () => {
    const training = await open('training.zip.p2.pt');
    const model = tensorsOf(training, ['model']);
    expect([...model.tensors.keys()]).toEqual(['weight', 'bias']);
    expect(model.skipped).toEqual([]);
    expect(tensorsOf(training).skipped).toContain('config');
    expect([...tensorsOf(training, ['optimizer', 'state', 0]).tensors.keys()]).toEqual([
      'step',
      'exp_avg',
      'exp_avg_sq',
    ]);
    const diffusion = await open('score-sde.legacy.p2.pt');
    expect([...tensorsOf(diffusion, ['ema', 'shadow_params']).tensors.keys()]).toEqual(['0', '1']);
    expect(valueAt(diffusion, ['step'])).toBe(12);
    const listed = await open('ddim-list.zip.p2.pt');
    expect([...tensorsOf(listed, [4]).tensors.keys()]).toEqual(['weight']);
  });

  it('that are not there are an error that says what is', async () => {
    const training = await open('training.zip.p2.pt');
    const missing = { code: 'ERR_DPM_TENSOR_MISSING' };
    expect(() => tensorsOf(training, ['state_dict'])).toThrow(
      /training.*has no entry "state_dict"; it has: model, optim/,
    );
    expect(() => tensorsOf(training, ['state_dict'])).toThrow(expect.objectContaining(missing));
    expect(() => tensorsOf(training, ['step'])).toThrow(/"step" is 5, not a dictionary/);
    expect(() => tensorsOf(training, ['step', 'x'])).toThrow(/"step" has no entry "x"; it is 5/);
  });

  it('are checkpoints that lie in the file itself', async () => {
    for (const name of ['module.zip.p2.pt', 'module.legacy.p2.pt']) {
      const file = await open(name);
      const bytes = readFileSync(file.path);
      const { files, tensors } = pytorchCheckpoint(file, tensorsOf(file).tensors);
      expect(files).toEqual([file.path]);
      expect([...tensors.keys()]).toContain('1.running_var');
      const weight = tensors.get('2.0.weight')!;
      expect(weight).toMatchObject({ dtype: 'F32', shape: [2, 2], bytes: 16, file: 0 });
      const there = Array.from({ length: 4 }, (_, i) => bytes.readFloatLE(weight.offset + 4 * i));
      const tensor = tensorsOf(file).tensors.get('2.0.weight')!;
      expect(there).toEqual([...(await readPytorchFloats(file, '2.0.weight', tensor))]);
    }
  });

  it('with tensors out of order say how they lie', async () => {
    const file = await open('values.zip.p2.pt');
    const { tensors } = tensorsOf(file);
    const contiguous = new Map([...tensors].filter(([, tensor]) => tensor.isContiguous));
    expect(pytorchCheckpoint(file, contiguous).tensors.size).toBe(contiguous.size);
    expect([...tensors.keys()].filter((name) => !contiguous.has(name))).toEqual([
      'shared.columns',
      'shared.transposed',
      'shared.every-third',
      'expanded',
      'expanded.scalar',
      'channels-last',
      'permuted',
    ]);
    const checkpoint = pytorchCheckpoint(file, tensors);
    expect(checkpoint.tensors.get('shared.columns')).toMatchObject({
      shape: [3, 2],
      view: { dims: [3, 2], strides: [4, 1] },
      bytes: 10 * 4,
    });
    expect(checkpoint.tensors.get('shared.rows')?.view).toBeUndefined();
  });

  it('share the bytes of shared storages', async () => {
    const { tensors } = tensorsOf(await open('values.legacy.p4.pt'));
    const [whole, rows] = [tensors.get('shared.whole')!, tensors.get('shared.rows')!];
    expect(rows.storage).toBe(whole.storage);
    expect(rows.offset - whole.offset).toBe(16);
  });
});

describe('files that are refused', () => {
  it.each([
    ['namespace.zip.p2.pt', 'ERR_DPM_PICKLE', /global 'argparse\.Namespace' is not allowed in a checkpoint/],
    ['complex.zip.p2.pt', 'ERR_DPM_PICKLE', /global 'torch\.ComplexFloatStorage' is not allowed/],
    ['negated.zip.p2.pt', 'ERR_DPM_UNSUPPORTED', /negated/],
    ['program.pt', 'ERR_DPM_UNSUPPORTED', /TorchScript/],
  ])('%s: %s', async (name, code, message) => {
    await expect(open(name)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
    await expect(open(name)).rejects.toThrow(name);
  });
});
