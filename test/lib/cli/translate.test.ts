// `dpm translate`.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decode, encode } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats, writeSafetensors } from '../../../lib/files/tensor-data.js';
import { Classifier } from '../../../lib/guidance/classifier.js';
import { compareImages } from '../../../lib/images/compare.js';
import { ImageBatch } from '../../../lib/images/image-batch.js';
import { pictureOptionFacts } from '../../../lib/images/picture-options.js';
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

  it('warns of results that are as unlike their sources as noise is', async () => {
    const way = ['--stride', '100', '--seed', '1', '--out', join(folder, 'unlike.png')];
    const energies = ['--extractor', 'mnist-domains', '--lambda-s', '500', '--lambda-i', '0', '--start', '0.9'];
    const told = await run(...energies, ...way);
    expect(told.stderr).toMatch(
      /^the results are as unlike their sources as noise is \(L2 [^)]*\): try a smaller [^\n]*\n$/,
    );
    expect((await run('--start', '0.1', ...way)).stderr).toBe('');
  });

  it('reads pictures, which keep their names in a folder, and tells how far they went', async () => {
    const pictures = join(folder, 'pictures');
    await mkdir(pictures);
    const names = ['b.png', 'a.PNG', 'c.png'];
    const levels = names.map((_, n) => Uint8Array.from({ length: 784 }, (__, i) => (i * (n + 3)) % 256));
    for (const [n, name] of names.entries()) {
      await writeFile(join(pictures, name), encode({ width: 28, height: 28, channels: 1, depth: 8, data: levels[n]! }));
    }
    await writeFile(join(pictures, '.hidden.jpg'), '');
    await writeFile(join(pictures, 'notes.txt'), '');
    const out = join(folder, 'translated');
    const way = ['--start', '0.1', '--stride', '50', '--metrics'];
    const told = await dpm('translate', 'mnist', '--device', 'cpu', '--source', pictures, '--out', out, ...way);
    expect(told.stderr).toBe('');
    expect(told.stdout).toMatch(/^3 images in [^\n]*\nL2 [\d.]+, PSNR [\d.]+ dB, SSIM [\d.]+\n$/);
    expect((await readdir(out)).sort()).toEqual(['a.PNG', 'b.png', 'c.png']);
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const sources = Float32Array.from(
      [1, 0, 2].flatMap((n) => [...levels[n]!]),
      (level) => level / 127.5 - 1,
    );
    const { images } = await translate(model, sources, { start: 0.1, stride: 50 });
    const first = decode(await readFile(join(out, 'a.PNG')));
    expect(Uint8Array.from(first.data)).toEqual(images.slice(0).toUint8());
    const whole = join(folder, 'whole.safetensors');
    const json = await dpm(
      'translate',
      'mnist',
      '--device',
      'cpu',
      '--source',
      pictures,
      '--out',
      whole,
      ...way,
      '--json',
    );
    const { l2, psnr, ssim } = compareImages(images, new ImageBatch(sources, images.shape));
    const mean = (values: Float64Array): number => (values[0]! + values[1]! + values[2]!) / 3;
    const found = JSON.parse(json.stdout) as Record<string, number>;
    expect(found.l2).toBeCloseTo(mean(l2), 6);
    expect(found.psnr).toBeCloseTo(mean(psnr), 6);
    expect(found.ssim).toBeCloseTo(mean(ssim), 6);
    expect((await readFloats(await readSafetensorsHeader(whole), 'images')).data).toEqual(images.data);
  });

  it('has a mask and ILVR', async () => {
    const mask = join(folder, 'mask.png');
    const data = Uint8Array.from({ length: 784 }, (_, i) => (i < 392 ? 255 : i < 400 ? 51 : 0));
    await writeFile(mask, encode({ width: 28, height: 28, channels: 1, depth: 8, data }));
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const { data: sources } = await readFloats(await readSafetensorsHeader(source), 'images');
    const out = join(folder, 'masked.safetensors');
    const of = async (...options: string[]): Promise<Float32Array> => {
      const told = await run('--out', out, '--stride', '50', ...options);
      expect(told.stderr).toBe('');
      return (await readFloats(await readSafetensorsHeader(out), 'images')).data;
    };
    const masked = await translate(model, sources, {
      start: 0.2,
      stride: 50,
      mask: Float32Array.from(data, (level) => level / 255),
    });
    expect(await of('--mask', mask, '--start', '0.2')).toEqual(masked.images.data);
    const ilvr = await translate(model, sources, { method: 'ilvr', stride: 50, factor: 4, end: 0.3 });
    expect(await of('--method', 'ilvr', '--factor', '4', '--end', '0.3')).toEqual(ilvr.images.data);
  });

  it('enlarges pictures, and overwrites none of the sources', async () => {
    const pictures = join(folder, 'own');
    await mkdir(pictures);
    const path = join(pictures, 'one.png');
    const bytes = encode({ width: 28, height: 28, channels: 1, depth: 8, data: new Uint8Array(784) });
    await writeFile(path, bytes);
    const of = (from: string, out: string, ...options: string[]) =>
      dpm(
        'translate',
        'mnist',
        '--device',
        'cpu',
        '--start',
        '0.05',
        '--stride',
        '25',
        '--source',
        from,
        '--out',
        out,
        ...options,
      );
    const large = join(folder, 'large');
    expect((await of(pictures, large, '--scale', '3')).stderr).toBe('');
    expect(decode(await readFile(join(large, 'one.png')))).toMatchObject({ width: 84, height: 84 });
    expect((await of(path, join(folder, 'large.png'), '--scale', '2')).stderr).toBe('');
    expect(decode(await readFile(join(folder, 'large.png')))).toMatchObject({ width: 56, height: 56 });
    for (const [from, out] of [
      [pictures, pictures],
      [path, path],
      [path, `${pictures}/../own/one.png`],
      [path, pictures],
    ] as const) {
      const told = await of(from, out);
      expect(told.code).toBe(2);
      expect(told.stderr).toMatch(/--out .* (would overwrite the sources|is the folder of the source)/);
    }
    expect(Uint8Array.from(await readFile(path))).toEqual(Uint8Array.from(bytes));
    expect((await of(path, join(folder, 'x.png'), '--scale', '65')).stderr).toContain(
      `--scale is 65, it has to be ${pictureOptionFacts.scale.kind.expected}`,
    );
    expect((await of(path, join(folder, 'x.png'), '--scale', '0')).stderr).toContain('--scale is 0');
    expect((await of(path, join(folder, 'x.safetensors'), '--scale', '2')).stderr).toContain('--scale is for pictures');
  });

  it('refuses folders of other pictures, or of none, and masks that are no pictures', async () => {
    const pictures = join(folder, 'photographs');
    await mkdir(pictures);
    const of = (...options: string[]) =>
      dpm('translate', 'mnist', '--device', 'cpu', '--out', join(folder, 'x.png'), '--source', ...options);
    expect((await of(pictures)).stderr).toContain(`${pictures} has no PNG or JPEG files`);
    await writeFile(join(pictures, 'a.webp'), '');
    expect((await of(pictures)).stderr).toContain('a.webp: only PNG and JPEG files are read');
    expect((await of(source, '--mask', source)).stderr).toContain(`the mask ${source} has to be a .png file`);
    expect((await of(join(folder, 'sdedit.png'))).stderr).toContain('sdedit.png: the image has');
  });

  it.each([
    [['--method', 'cyclegan'], '--method'],
    [['--end', '0.5'], 'end'],
    [['--method', 'ilvr', '--extractor', 'mnist-domains'], 'extractor is for method'],
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
    expect((await run('--out', join(folder, 'x.gif'))).stderr).toContain('--out');
  });
});
