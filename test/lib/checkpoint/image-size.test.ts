// Networks for images of another size than their configuration's.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { familyByName } from '../../../lib/checkpoint/families/index.js';
import { networkOf } from '../../../lib/checkpoint/family.js';
import type { ImageSize } from '../../../lib/checkpoint/image-size.js';
import { presets } from '../../../lib/checkpoint/presets.js';
import { readModelFolder } from '../../../lib/checkpoint/read-model.js';
import { DiffusionModel } from '../../../lib/model.js';
import { requiredTensors } from '../../../lib/network/cost.js';
import { unetGraph } from '../../../lib/network/unet.js';
import { switchCases } from '../../support/switch-cases.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { tinyClassifier } from '../../support/training-data.js';

const mnist = packagePath('models/mnist');

/** One network of each kind, with how often it halves its maps. */
const cases: [string, Record<string, unknown>, number][] = [
  ...(
    [
      ['ddpm-cifar10', 3],
      ['iddpm-imagenet64', 3],
      ['adm-256', 5],
      ['edm-cifar10-ncsnpp', 2],
      ['edm-imagenet64-adm', 3],
    ] as const
  ).map(([name, halvings]): [string, Record<string, unknown>, number] => [name, presets[name]!, halvings]),
  ...(
    [
      ['score_sde resblock_type ddpm, residual input', 1],
      ['score_sde input_skip, output_skip, three levels, fir', 2],
      ['openai conv_resample false, three levels', 2],
      ['diffusers skip blocks, three levels, fourier', 2],
      ['diffusers resnet resampling', 1],
    ] as const
  ).map(([name, halvings]): [string, Record<string, unknown>, number] => [
    name,
    switchCases.find(({ id }) => id === name)!.config,
    halvings,
  ]),
  // Halves its maps by convolutions, and never doubles them.
  ['a classifier', { ...tinyClassifier, channel_mult: [1, 2, 2], pool: 'adaptive' }, 2],
];

describe('images of another size', () => {
  it.each(cases)('need the same weights: %s', (name, config, halvings) => {
    const { family = 'diffusers' } = config;
    const made = (size?: ImageSize) => networkOf(familyByName(family as string), config, name, size).unet;
    const least = 2 ** halvings;
    const { height, width, ...others } = made([least, 3 * least]);
    expect([height, width]).toEqual([least, 3 * least]);
    const { height: _height, width: _width, ...own } = made();
    expect(others).toEqual(own);
    const tensors = requiredTensors(unetGraph(made()));
    for (const size of [2 * least, [least, 3 * least] as const]) {
      expect(requiredTensors(unetGraph(made(size)))).toEqual(tensors);
    }
    for (const size of [[least, least / 2] as const, [least / 2, least] as const]) {
      const refused = `imageSize is [${size.join(',')}], it has to be divisible by ${least}: the network halves its maps ${halvings} times`;
      expect(() => made(size)).toThrow(refused);
    }
  });

  it.each<[ImageSize, RegExp]>([
    [0, /imageSize is 0, it has to be one side/],
    [28.5, /imageSize is 28\.5/],
    [[28, 20_000], /imageSize is \[28,20000\], .*from 1 to 16384/],
    [[28, 28, 1] as unknown as ImageSize, /imageSize is \[28,28,1\], .*one side or/],
    [[28] as unknown as ImageSize, /one side or \[height, width\]/],
    [null as unknown as ImageSize, /imageSize is null/],
    ['28' as unknown as ImageSize, /imageSize is "28", it has to be one side/],
    [30, /imageSize is 30, it has to be divisible by 4/],
  ])('are refused of size %j', async (imageSize, message) => {
    const load = DiffusionModel.load(mnist, { device: 'cpu', imageSize });
    await expect(load).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    await expect(load).rejects.toThrow(message);
  });

  it('are what a model samples, with its heads', async () => {
    await using model = await DiffusionModel.load(mnist, { device: 'cpu', imageSize: [20, 32] });
    expect(model.sampleShape).toEqual([1, 20, 32]);
    const { images } = await model.sample({ sampler: 'npr-ddpm', steps: 2, count: 2, seed: 1 });
    expect(images.shape).toEqual([2, 1, 20, 32]);
  });

  it('are asked for where the configuration does not say any', async () => {
    const folder = temporaryFolder();
    await cp(mnist, folder, { recursive: true });
    const path = join(folder, 'unet', 'config.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    for (const sample_size of [null, undefined]) {
      await writeFile(path, JSON.stringify({ ...config, sample_size }));
      await expect(readModelFolder(folder)).rejects.toThrow(
        /sample_size is (null|missing), .* where it does not say any, give imageSize/,
      );
      await using model = await DiffusionModel.load(folder, { device: 'cpu', imageSize: 28 });
      expect(model.sampleShape).toEqual([1, 28, 28]);
    }
  });
});
