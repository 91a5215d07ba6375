// Files of low-rank additions, broken in one place or of another method: an error that names the file and the tensor.
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { readConditional, type ReadConditional } from '../../lib/checkpoint/pipelines/conditional.js';
import { AdapterMetadata } from '../../lib/checkpoint/pipelines/lora/adapter-metadata.js';
import { textEncoderNames, textLayerNames, unetLayerNames } from '../../lib/checkpoint/pipelines/lora/layer-names.js';
import { withLoras, type GivenLora } from '../../lib/checkpoint/pipelines/lora/with-loras.js';
import { readTextEncoder } from '../../lib/checkpoint/pipelines/text-encoder.js';
import { DpmError } from '../../lib/index.js';
import { fileTensors, writeFileTensors, zeros, type FileTensor, type FileTensors } from '../support/file-tensors.js';
import { failure } from '../support/failure.js';
import { latentFixtures } from '../support/latent-goldens.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const layer = 'lora_unet_mid_block_resnets_0_conv1';
const [down, up, mid, alpha] = ['lora_down.weight', 'lora_up.weight', 'lora_mid.weight', 'alpha'].map(
  (end) => `${layer}.${end}`,
) as [string, string, string, string];

let read: ReadConditional;
let layers: FileTensors;
beforeAll(async () => {
  read = await readConditional(join(latentFixtures, 'sd1/unet'));
  const all = await fileTensors(join(latentFixtures, 'sd1/lora/kohya.safetensors'));
  layers = new Map([...all].filter(([name]) => name.startsWith(`${layer}.`)));
});

async function additions(path: string, options: Partial<GivenLora> = {}): Promise<unknown> {
  const { description, checkpoint } = read;
  const names = unetLayerNames(description, checkpoint);
  const [found] = await withLoras([{ checkpoint, names }], [{ path, scale: 1, allowPartial: false, ...options }]);
  return found!.tensors.get('mid_block.resnets.0.conv1.weight')!.additions;
}

let count = 0;

/** Writes a file of one layer with a change. */
async function changed(change: (tensors: FileTensors) => void, metadata?: Record<string, string>): Promise<string> {
  const tensors = new Map(layers);
  change(tensors);
  return writeFileTensors(join(folder, `${++count}.safetensors`), tensors, metadata);
}

const number = (value: number): FileTensor => ({
  dtype: 'F32',
  shape: [],
  bytes: new Uint8Array(Float32Array.of(value).buffer),
});

const set = (name: string, tensor: FileTensor) => (tensors: FileTensors) => void tensors.set(name, tensor);
const ofType = (dtype: FileTensor['dtype'], bytes: number, ...shape: number[]): FileTensor => ({
  dtype,
  shape,
  bytes: new Uint8Array(bytes),
});

const broken: readonly (readonly [what: string, (tensors: FileTensors) => void, code: string, named: string])[] = [
  ['lacks down', (t) => t.delete(down), 'ERR_DPM_TENSOR_MISSING', `'${layer}' lacks down`],
  ['lacks up', (t) => t.delete(up), 'ERR_DPM_TENSOR_MISSING', `'${layer}' lacks up`],
  ['lacks both', (t) => (t.delete(up), t.delete(down)), 'ERR_DPM_TENSOR_MISSING', `'${alpha}'`],
  ['has rank 0', set(down, zeros(0, 32, 3, 3)), 'ERR_DPM_TENSOR_SHAPE', down],
  ['has a row as down', set(down, zeros(32)), 'ERR_DPM_TENSOR_SHAPE', down],
  ['has three dimensions', set(down, zeros(4, 32, 9)), 'ERR_DPM_TENSOR_SHAPE', down],
  ['has five dimensions', set(up, zeros(32, 4, 1, 1, 1)), 'ERR_DPM_TENSOR_SHAPE', up],
  ['has ranks that differ', set(up, zeros(32, 5, 1, 1)), 'ERR_DPM_TENSOR_SHAPE', up],
  ['has another kernel', set(down, zeros(4, 32, 1, 1)), 'ERR_DPM_TENSOR_SHAPE', 'mid_block.resnets.0.conv1.weight'],
  ['has a kernel as up', set(up, zeros(32, 4, 3, 3)), 'ERR_DPM_TENSOR_SHAPE', up],
  ['has other inputs', set(down, zeros(4, 33, 3, 3)), 'ERR_DPM_TENSOR_SHAPE', '[32, 32, 3, 3]'],
  ['has other outputs', set(up, zeros(31, 4, 1, 1)), 'ERR_DPM_TENSOR_SHAPE', up],
  ['has a rank of 10,000', (t) => t.set(up, zeros(1, 1e4)).set(down, zeros(1e4, 1)), 'ERR_DPM_TENSOR_SHAPE', '8192'],
  [
    'has an inner rank of 10,000',
    (t) =>
      t
        .set(up, zeros(32, 1, 1, 1))
        .set(mid, zeros(1, 1e4, 3, 3))
        .set(down, zeros(1e4, 32, 1, 1)),
    'ERR_DPM_TENSOR_SHAPE',
    '8192',
  ],
  ['has a matrix as mid', set(mid, zeros(4, 4)), 'ERR_DPM_TENSOR_SHAPE', mid],
  ['has a mid of another rank', set(mid, zeros(4, 5, 3, 3)), 'ERR_DPM_TENSOR_SHAPE', mid],
  ['has two kernels', set(mid, zeros(4, 4, 3, 3)), 'ERR_DPM_TENSOR_SHAPE', down],
  ['has a factor in F64', set(down, ofType('F64', 8 * 4 * 288, 4, 32, 3, 3)), 'ERR_DPM_TENSOR_DTYPE', down],
  ['has integers', set(up, ofType('I8', 128, 32, 4, 1, 1)), 'ERR_DPM_TENSOR_DTYPE', up],
  ['has two alphas', set(alpha, ofType('F32', 8, 2)), 'ERR_DPM_TENSOR_SHAPE', alpha],
  ['has no alpha in alpha', set(alpha, ofType('F32', 0, 0)), 'ERR_DPM_TENSOR_SHAPE', alpha],
  ['has NaN as alpha', set(alpha, number(NaN)), 'ERR_DPM_NOT_FINITE', alpha],
  ['has an infinite alpha', set(alpha, number(-Infinity)), 'ERR_DPM_NOT_FINITE', alpha],
  ['has a part twice', set(`${layer}.lora_A.weight`, zeros(4, 32, 3, 3)), 'ERR_DPM_TENSOR_UNUSED', 'lora_A'],
  ['has DoRA', set(`${layer}.dora_scale`, zeros(32, 1, 1, 1)), 'ERR_DPM_UNSUPPORTED', 'dora_scale'],
  ['has DoRA of PEFT', set('unet.a.lora_magnitude_vector', zeros(32)), 'ERR_DPM_UNSUPPORTED', 'DoRA'],
  [
    'has DoRA by its adapter',
    set('unet.a.lora_magnitude_vector.default.weight', zeros(32)),
    'ERR_DPM_UNSUPPORTED',
    'DoRA',
  ],
  ['has LoHa', set(`${layer}.hada_w1_a`, zeros(4, 4)), 'ERR_DPM_UNSUPPORTED', 'hada_w1_a'],
  ['has LoKr', set(`${layer}.lokr_w1`, zeros(4, 4)), 'ERR_DPM_UNSUPPORTED', 'lokr_w1'],
  ['has a difference', set(`${layer}.diff`, zeros(32, 32, 3, 3)), 'ERR_DPM_UNSUPPORTED', `${layer}.diff`],
  ['has a bias', set(`${layer}.diff_b`, zeros(32)), 'ERR_DPM_UNSUPPORTED', 'diff_b'],
  ['has OFT', set(`${layer}.oft_blocks`, zeros(4, 4)), 'ERR_DPM_UNSUPPORTED', 'oft_blocks'],
  ['has another layer', set('lora_unet_a.lora_down.weight', zeros(1, 1)), 'ERR_DPM_TENSOR_MISSING', 'lora_unet_a'],
  ['has another tensor', set('emb_params', zeros(1, 1)), 'ERR_DPM_TENSOR_UNUSED', 'emb_params'],
  [
    'has both names of a layer',
    (t) =>
      t
        .set('unet.mid_block.resnets.0.conv1.lora_A.weight', zeros(1, 32, 3, 3))
        .set('unet.mid_block.resnets.0.conv1.lora_B.weight', zeros(32, 1, 1, 1)),
    'ERR_DPM_TENSOR_UNUSED',
    `layers 'unet.mid_block.resnets.0.conv1' and '${layer}' both add to mid_block.resnets.0.conv1.weight`,
  ],
];

const metadata = (value: unknown): Record<string, string> => ({
  lora_adapter_metadata: typeof value === 'string' ? value : JSON.stringify(value),
});

describe('a file of low-rank additions', () => {
  it('is taken with the numbers that its tensors and its header give', async () => {
    expect(await additions(await changed(() => undefined), { scale: 2 })).toMatchObject([{ factor: 2 * 0.5 }]);
    const withoutAlpha = await changed((t) => t.delete(alpha));
    expect(await additions(withoutAlpha)).toMatchObject([{ factor: 1, mid: null }]);
    const locon = await changed((t) =>
      t
        .set(down, zeros(3, 32, 1, 1))
        .set(mid, zeros(4, 3, 3, 3))
        .set(alpha, number(6)),
    );
    expect(await additions(locon)).toMatchObject([{ factor: 2, mid: { name: mid } }]);
    const ofAdapter = await changed((t) => {
      t.set('unet.mid_block.resnets.0.conv1.lora_A.default.weight', t.get(down)!);
      t.set('unet.mid_block.resnets.0.conv1.lora_B.default.weight', t.get(up)!);
      for (const name of [down, up, alpha]) t.delete(name);
    });
    expect(await additions(ofAdapter)).toMatchObject([{ factor: 1, mid: null }]);
  });

  it('adds to no table of embeddings, which is no layer', async () => {
    const { checkpoint } = await readTextEncoder(join(latentFixtures, 'sd1/text_encoder'));
    const names = textLayerNames(textEncoderNames[0]!, checkpoint);
    const table = 'lora_te_text_model_embeddings_token_embedding';
    const path = await changed((t) => {
      t.clear();
      t.set(`${table}.lora_down.weight`, zeros(1, 32)).set(`${table}.lora_up.weight`, zeros(814, 1));
    });
    const error = await failure(withLoras([{ checkpoint, names }], [{ path, scale: 1, allowPartial: false }]));
    expect([error.code, error.message]).toEqual(['ERR_DPM_TENSOR_UNUSED', expect.stringContaining(table)]);
  });

  it.each(broken)('that %s is refused', async (_, change, code, named) => {
    const path = await changed(change);
    const error = await failure(additions(path));
    expect(error.code).toBe(code);
    expect(error.message).toContain(path);
    expect(error.message).toContain(named);
  });

  it.each([
    ['not JSON', 'ERR_DPM_FILE_HEADER', 'is not JSON'],
    [[1], 'ERR_DPM_FILE_HEADER', 'not a JSON object'],
    ['{"unet.r": 1, "unet.r": 2}', 'ERR_DPM_FILE_HEADER', 'twice'],
    ['['.repeat(100_000), 'ERR_DPM_FILE_HEADER', 'nested'],
    ['{'.padEnd(2 ** 24 + 1), 'ERR_DPM_FILE_HEADER', 'characters'],
    [{ 'unet.lora_alpha': 'much' }, 'ERR_DPM_CONFIG', 'lora_alpha'],
    ['{"unet.lora_alpha": NaN}', 'ERR_DPM_CONFIG', 'lora_alpha'],
    [{ 'unet.alpha_pattern': [] }, 'ERR_DPM_CONFIG', 'alpha_pattern'],
    [{ 'unet.alpha_pattern': { a: '1' } }, 'ERR_DPM_CONFIG', 'alpha_pattern'],
    [{ 'unet.alpha_pattern': { '(a+)+$': 1 } }, 'ERR_DPM_UNSUPPORTED', 'alpha_pattern'],
    [{ 'unet.use_dora': true }, 'ERR_DPM_UNSUPPORTED', 'use_dora'],
    [{ 'unet.fan_in_fan_out': true }, 'ERR_DPM_UNSUPPORTED', 'fan_in_fan_out'],
    [{ 'unet.use_rslora': 'yes' }, 'ERR_DPM_CONFIG', 'use_rslora'],
  ])('with the header %# is refused', async (value, code, named) => {
    const peft = await changed((t) => {
      t.set('unet.mid_block.resnets.0.conv1.lora_A.weight', t.get(down)!);
      t.set('unet.mid_block.resnets.0.conv1.lora_B.weight', t.get(up)!);
      for (const name of [down, up, alpha]) t.delete(name);
    }, metadata(value));
    const error = await failure(additions(peft));
    expect(error.code).toBe(code);
    expect(error.message).toContain(peft);
    expect(error.message).toContain(named);
  });

  it.each([
    [{ 'unet.lora_alpha': 8 }, 2],
    [{ 'unet.lora_alpha': 8, 'unet.use_rslora': true }, 4],
    [{ 'unet.lora_alpha': 8, 'unet.alpha_pattern': { 'resnets.0.conv1': 2 } }, 0.5],
    [{ 'unet.lora_alpha': 8, 'unet.alpha_pattern': { conv2: 2, onv1: 2, 'a.conv1': 2 } }, 2],
    [{ 'unet.alpha_pattern': { conv1: 1, 'mid_block.resnets.0.conv1': 2, '0.conv1': 4 } }, 0.5],
    [{ 'text_encoder.lora_alpha': 8 }, 1],
    [{ 'unet.lora_alpha': null }, 1],
  ])('with the header %j is multiplied by %f', async (value, factor) => {
    const peft = await changed((t) => {
      t.set('unet.mid_block.resnets.0.conv1.lora_A.weight', t.get(down)!);
      t.set('unet.mid_block.resnets.0.conv1.lora_B.weight', t.get(up)!);
      for (const name of [down, up, alpha]) t.delete(name);
    }, metadata(value));
    expect(await additions(peft)).toMatchObject([{ factor }]);
  });

  it('whose layers name no network multiplies them by what the header says of none', () => {
    const factorOf = (fields: unknown, name: string): number =>
      new AdapterMetadata('a.safetensors', new Map(Object.entries(metadata(fields)))).factor(name, 4);
    const plain = { lora_alpha: 8, alpha_pattern: { conv_out: 2 } };
    expect([factorOf(plain, 'conv_in'), factorOf(plain, 'conv_out')]).toEqual([2, 0.5]);
    expect([factorOf(plain, 'unet.conv_in'), factorOf({ 'unet.lora_alpha': 8 }, 'conv_in')]).toEqual([1, 1]);
  });

  it('that fits in part is taken where that is allowed, and one that fits nowhere never', async () => {
    const more = (t: FileTensors): void => {
      t.set('lora_unet_a.lora_down.weight', zeros(1, 1)).set('lora_unet_a.lora_up.weight', zeros(1, 1));
    };
    const part = await changed(more);
    const error = await failure(additions(part));
    expect([error.code, error.message]).toEqual(['ERR_DPM_TENSOR_UNUSED', expect.stringContaining('lora_unet_a')]);
    expect(await additions(part, { allowPartial: true })).toHaveLength(1);
    const none = await changed((t) => {
      t.clear();
      more(t);
    });
    const empty = await changed((t) => {
      t.clear();
    });
    for (const path of [none, empty]) {
      const refused = await failure(additions(path, { allowPartial: true }));
      expect(refused.message).toContain(`${path} adds to no layer`);
    }
  });

  it('of which the product with the scale is not finite is refused', async () => {
    const error = await failure(additions(await changed(set(alpha, number(1e38))), { scale: 1e30 }));
    expect([error.code, error.message]).toEqual(['ERR_DPM_NOT_FINITE', expect.stringContaining(layer)]);
  });

  it('that is none is refused', async () => {
    const circle = join(folder, 'circle.safetensors');
    await symlink(circle, circle);
    const text = join(folder, 'text.safetensors');
    await writeFile(text, 'no safetensors at all');
    for (const path of [circle, text, folder, join(folder, 'nowhere')]) {
      const error = await failure(additions(path));
      expect(error).toBeInstanceOf(DpmError);
      expect(error.message).toContain(path);
    }
  });
});
