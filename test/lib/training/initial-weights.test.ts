// Weights that training begins with: the distributions of the authors' own constructors, and their random streams.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { familyByName } from '../../../lib/checkpoint/families/index.js';
import type { FamilyNetwork } from '../../../lib/checkpoint/family.js';
import { readModelFolder } from '../../../lib/checkpoint/read-model.js';
import { writeSafetensors } from '../../../lib/files/tensor-data.js';
import { initialWeights } from '../../../lib/training/initial-weights.js';
import { philox4x32 } from '../../support/philox.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

interface Golden {
  family: string;
  config: Record<string, unknown>;
  parameters: number;
  zeroWeights: string[];
  tensors: Record<
    string,
    {
      shape: number[];
      distribution: 'zero' | 'one' | 'uniform' | 'normal';
      bound?: number;
      std?: number;
      meanWithin?: number;
      deviation?: [number, number];
      leastMaximum?: number;
    }
  >;
}

const fixtures = packagePath('test/fixtures/gradients/initial');
const goldenOf = (name: string): Golden => JSON.parse(readFileSync(join(fixtures, `${name}.json`), 'utf8')) as Golden;
const networkOf = ({ family, config }: Golden): FamilyNetwork => familyByName(family).network(config, 'config.json');
const names = readdirSync(fixtures).map((file) => file.replace('.json', ''));

function moments(values: Float32Array): { mean: number; deviation: number; most: number } {
  let [sum, squares, most] = [0, 0, 0];
  for (const value of values) {
    sum += value;
    squares += value * value;
    most = Math.max(most, Math.abs(value));
  }
  return { mean: sum / values.length, deviation: Math.sqrt(squares / values.length), most };
}

describe.each(names)('initial weights of %s', (name) => {
  const golden = goldenOf(name);
  const network = networkOf(golden);

  it.each([0, 1, 2n ** 64n - 1n])('have the shapes and distributions of the authors, seed %s', async (seed) => {
    const tensors = await initialWeights(network, seed);
    expect([...tensors.keys()].sort()).toEqual(Object.keys(golden.tensors).sort());
    let parameters = 0;
    for (const [key, expected] of Object.entries(golden.tensors)) {
      const { shape, data } = tensors.get(key)!;
      expect(shape, key).toEqual(expected.shape);
      parameters += data.length;
      const { mean, deviation, most } = moments(data);
      if (expected.distribution === 'zero') expect(most, key).toBe(0);
      if (expected.distribution === 'one')
        expect(
          data.every((value) => value === 1),
          key,
        ).toBe(true);
      if (expected.bound !== undefined) expect(most, key).toBeLessThanOrEqual(expected.bound * (1 + 2 ** -23));
      if (expected.leastMaximum !== undefined) expect(most, key).toBeGreaterThanOrEqual(expected.leastMaximum);
      if (expected.meanWithin !== undefined) expect(Math.abs(mean), key).toBeLessThanOrEqual(expected.meanWithin);
      if (expected.deviation === undefined) continue;
      expect(deviation, key).toBeGreaterThanOrEqual(expected.deviation[0]);
      expect(deviation, key).toBeLessThanOrEqual(expected.deviation[1]);
    }
    expect(parameters).toBe(golden.parameters);
    for (const key of golden.zeroWeights) expect(moments(tensors.get(key)!.data).most, key).toBe(0);
  });
});

describe('initial weights', () => {
  it('are the same for one seed, and others for another', async () => {
    const network = networkOf(goldenOf('openai'));
    const [first, again, other] = [
      await initialWeights(network, 5),
      await initialWeights(network, 5n),
      await initialWeights(network, 6),
    ];
    expect(again).toEqual(first);
    for (const [name, { data }] of first) {
      const isRandom = new Set(data).size > 1;
      expect(
        other.get(name)!.data.some((value, i) => value !== data[i]),
        name,
      ).toBe(isRandom);
    }
  });

  it('stay where a head is added', async () => {
    const without = await initialWeights(networkOf(goldenOf('ho')), 3);
    const within = await initialWeights(networkOf(goldenOf('ho-head')), 3);
    expect(within.size).toBeGreaterThan(without.size);
    for (const [name, tensor] of without) expect(within.get(name)).toEqual(tensor);
  });

  it('are words of Philox by the name', async () => {
    const name = 'conv_in.bias';
    const { data } = (await initialWeights(networkOf(goldenOf('ho')), 2 ** 40 + 7)).get(name)!;
    const hash = createHash('sha256').update(name).digest();
    const bound = 1 / Math.sqrt(27);
    for (const i of [0, 1, 6, 31]) {
      const words = philox4x32([i >> 2, hash.readUInt32LE(0), hash.readUInt32LE(4), 0xf1], [7, 256]);
      expect(data[i]).toBe(Math.fround(bound * ((words[i & 3]! + 0.5) / 2 ** 31 - 1)));
    }
  });

  it('draw frequencies and uniform rows, which no small network of the fixtures has', async () => {
    const song = goldenOf('edm-song');
    const network = networkOf({ ...song, config: { ...song.config, embedding_type: 'fourier', label_dim: 10 } });
    const tensors = await initialWeights(network, 1);
    expect(moments(tensors.get('map_noise.freqs')!.data).deviation).toBeGreaterThan(8);
    const rows = tensors.get('map_label.weight')!;
    expect(rows.shape).toEqual([32, 10]);
    expect(moments(rows.data).most).toBeLessThanOrEqual(Math.sqrt(6 / 42) * (1 + 2 ** -23));
    expect(moments(tensors.get('map_label.bias')!.data).most).toBe(0);
  });

  it.each([
    ['score-sde', { progressive: 'output_skip' }],
    ['score-sde', { resblock_type: 'ddpm' }],
  ])('of %s with %j end with nearly nothing', async (name, fields) => {
    const golden = goldenOf(name);
    const model = { ...(golden.config.model as Record<string, unknown>), ...fields };
    const tensors = await initialWeights(networkOf({ ...golden, config: { ...golden.config, model } }), 1);
    const small = [...tensors].filter(([, { data }]) => moments(data).most > 0 && moments(data).most < 1e-5);
    expect(small.length).toBeGreaterThan(8);
    const last = [...tensors].filter(([, { shape }]) => shape.length === 4 && shape[0] === 3);
    for (const [key, { data }] of last) expect(moments(data).most, key).toBeLessThan(1e-5);
    expect(last).not.toEqual([]);
  });

  it('are a model of their family', async () => {
    const folder = join(temporaryFolder(), 'ho');
    const golden = goldenOf('ho');
    mkdirSync(folder);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(golden.config));
    await writeSafetensors(join(folder, 'model.safetensors'), await initialWeights(networkOf(golden), 1));
    const { report } = await (await readModelFolder(folder)).select(null);
    expect(report).toEqual({ missing: [], unused: [], misshapen: [] });
  });

  it('refuse a seed that is none', async () => {
    await expect(initialWeights(networkOf(goldenOf('ho')), -1)).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
  });
});
