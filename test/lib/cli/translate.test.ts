// `dpm translate`.
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats, writeSafetensors } from '../../../lib/files/tensor-data.js';
import { Classifier } from '../../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../../lib/model.js';
import { translate } from '../../../lib/translation/translate.js';
import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const source = join(folder, 'printed.safetensors');
const shape = [2, 1, 28, 28];

const run = (...options: string[]) => dpm('translate', 'mnist', '--device', 'cpu', '--source', source, ...options);

describe('dpm translate', () => {
  it('writes what the library makes of the same options', async () => {
    const all = await readFloats(
      await readSafetensorsHeader(packagePath('models/mnist-domains/printed-digits.safetensors')),
      'images',
      ['U8'],
    );
    const printed = all.data.slice(0, 2 * 784).map((level) => level / 127.5 - 1);
    await writeSafetensors(source, { images: { shape, data: printed } });
    const out = join(folder, 'new', 'handwritten.safetensors');
    const energies = ['--extractor', 'mnist-domains', '--lambda-s', '60', '--lambda-i', '6', '--factor', '4'];
    const way = ['--start', '0.2', '--stride', '40', '--repeats', '2', '--seed', '5', '--batch', '1'];
    const told = await run(...energies, ...way, '--out', out, '--json');
    expect(told.stderr).toBe('');
    expect(JSON.parse(told.stdout)).toMatchObject({ out, count: 2, device: 'cpu' });
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    await using extractor = await Classifier.load('mnist-domains', { device: model.device });
    const options = {
      extractor,
      lambdaS: 60,
      lambdaI: 6,
      factor: 4,
      start: 0.2,
      stride: 40,
      repeats: 2,
      seed: 5,
      batch: 1,
    };
    const { images } = await translate(model, printed, options);
    expect((await readFloats(await readSafetensorsHeader(out), 'images')).data).toEqual(images.data);
    const plain = await run('--start', '0.1', '--stride', '50', '--out', join(folder, 'sdedit.png'));
    expect(plain.stdout).toMatch(/^2 images in .* on cpu -> .*sdedit\.png\n$/);
  });

  it.each([
    [['--lambda-s', '3'], '--lambda-s is for --extractor'],
    [['--similarity', 'cosine'], '--similarity is for --extractor'],
    [['--extractor', 'mnist'], 'mnist'],
    [['--start', '2'], 'start'],
  ])('%j: %s', async (options, message) => {
    const told = await run('--out', join(folder, 'none.png'), ...options);
    expect(told.code).not.toBe(0);
    expect(told.stderr).toContain(message);
  });

  it('needs a source and a place to write to', async () => {
    expect((await dpm('translate', 'mnist', '--out', join(folder, 'x.png'))).stderr).toContain('--source is missing');
    expect((await run()).stderr).toContain('--out is missing');
    expect((await run('--out', join(folder, 'x.gif'))).stderr).toContain('--out');
  });
});
