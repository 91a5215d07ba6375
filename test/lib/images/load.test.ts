// Images of files, and where batches of images are taken.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { encode } from 'fast-png';
import { beforeAll, describe, expect, it } from 'vitest';

import { readMask, readNamedImages } from '../../../lib/images/load.js';
import * as dpm from '../../../lib/index.js';
import { writeSafetensors } from '../../../lib/files/tensor-data.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const { ImageBatch } = dpm;
const levels = (count: number, step: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => (i * step) % 256);
const grey = [levels(28 * 28, 3), levels(28 * 28, 5)] as const;
const values = (given: Uint8Array): Float32Array => Float32Array.from(given, (level) => level / 127.5 - 1);

beforeAll(async () => {
  await mkdir(join(folder, 'grey'));
  for (const [n, name] of ['b.png', 'a.PNG'].entries()) {
    await writeFile(
      join(folder, 'grey', name),
      encode({ width: 28, height: 28, channels: 1, depth: 8, data: grey[n]! }),
    );
  }
  // Systems and programs lay files of their own beside pictures.
  await writeFile(join(folder, 'grey', '._b.png'), 'no picture');
  await writeFile(join(folder, 'rgb.png'), encode({ width: 2, height: 3, channels: 3, depth: 8, data: levels(18, 7) }));
  const opaque = levels(24, 7).map((level, i) => (i % 4 === 3 ? 255 : level));
  await writeFile(join(folder, 'rgba.png'), encode({ width: 2, height: 3, channels: 4, depth: 8, data: opaque }));
});

describe('ImageBatch.load', () => {
  it('reads what it has written, of each kind', async () => {
    const images = new ImageBatch(levels(2 * 3 * 4 * 5, 11), [2, 3, 4, 5]);
    await images.save(join(folder, 'some.safetensors'));
    await images.save(join(folder, 'some'));
    for (const path of ['some.safetensors', 'some']) {
      const found = await ImageBatch.load(join(folder, path));
      expect(found.shape).toEqual([2, 3, 4, 5]);
      expect(found.toUint8()).toEqual(images.toUint8());
      expect(found.range).toEqual([-1, 1]);
    }
  });

  it.runIf(process.platform === 'linux')('reads files whose names are no text, under names that are', async () => {
    const [place, picture] = [join(folder, 'latin'), join(folder, 'grey', 'b.png')];
    await mkdir(place);
    const bytes = await readFile(picture);
    const named = (...name: number[]): Buffer => Buffer.concat([Buffer.from(`${place}/`), Buffer.from(name)]);
    await writeFile(named(0x63, 0xe9, 0x2e, 0x70, 0x6e, 0x67), bytes);
    await writeFile(join(place, 'a.png'), bytes);
    await writeFile(join(place, 'd\u00e9.png'), bytes);
    const found = await readNamedImages(place, {});
    expect(found.names).toEqual(['a.png', 'c%E9.png', 'd\u00e9.png']);
    expect(found.shape[0]).toBe(3);
    await writeFile(named(0x78, 0xff, 0x2e, 0x67, 0x69, 0x66), bytes);
    await expect(readNamedImages(place, {})).rejects.toThrow(`${place}/x%FF.gif: only PNG and JPEG files are read`);
    await rm(named(0x78, 0xff, 0x2e, 0x67, 0x69, 0x66));
    await writeFile(named(0x63, 0xe9, 0x2e, 0x70, 0x6e, 0x67), 'no picture');
    await expect(readNamedImages(place, {})).rejects.toThrow(`${place}/c%E9.png: `);
    await writeFile(join(place, 'c%E9.png'), bytes);
    await expect(readNamedImages(place, {})).rejects.toThrow(`${place}/c%E9.png: two files have this name`);
  });

  it('reads JPEG as the library of PIL does, alone and beside PNG, whatever a file is called', async () => {
    const place = join(folder, 'jpeg');
    await mkdir(place);
    const given = async (name: string): Promise<Buffer> => readFile(packagePath(`test/fixtures/jpeg/${name}`));
    await writeFile(join(place, 'a.JPG'), await given('444.jpg'));
    await writeFile(join(place, 'b.png'), await given('444.png'));
    await writeFile(join(place, 'c.jpeg'), await given('444.png'));
    const expected = (await ImageBatch.load(join(place, 'b.png'))).toUint8();
    expect((await ImageBatch.load(join(place, 'a.JPG'))).toUint8()).toEqual(expected);
    const all = await ImageBatch.load(place);
    expect(all.shape[0]).toBe(3);
    expect(all.toUint8()).toEqual(Uint8Array.from([...expected, ...expected, ...expected]));
    await writeFile(join(place, 'd.jpg'), 'no picture');
    await expect(ImageBatch.load(place)).rejects.toThrow('d.jpg: this is neither PNG nor JPEG');
  });

  it('reads a folder by its names, and a picture by a URL, of any number of channels', async () => {
    const found = await ImageBatch.load(join(folder, 'grey'));
    expect(found.shape).toEqual([2, 1, 28, 28]);
    expect(found.toUint8()).toEqual(Uint8Array.from([...grey[1], ...grey[0]]));
    expect((await ImageBatch.load(pathToFileURL(join(folder, 'rgb.png')))).shape).toEqual([1, 3, 3, 2]);
    expect((await ImageBatch.load(join(folder, 'rgba.png'))).shape).toEqual([1, 3, 3, 2]);
    expect((await ImageBatch.load(join(folder, 'grey', 'a.PNG'))).toUint8()).toEqual(grey[1]);
  });

  it('reads what a model takes, in its range', async () => {
    const like = { sampleShape: [1, 28, 28], range: [0, 1] } as const;
    const found = await ImageBatch.load(join(folder, 'grey'), like);
    expect(found.range).toEqual([0, 1]);
    expect(found.data[1]).toBeCloseTo(5 / 255, 6);
    // Grey serves for colours, not the other way round.
    expect((await ImageBatch.load(join(folder, 'grey'), { sampleShape: [3, 28, 28] })).shape).toEqual([2, 3, 28, 28]);
    const wrong = { code: 'ERR_DPM_TENSOR_SHAPE' };
    await expect(ImageBatch.load(join(folder, 'rgb.png'), like)).rejects.toMatchObject(wrong);
    await expect(ImageBatch.load(join(folder, 'rgb.png'), { sampleShape: [1, 3, 2] })).rejects.toMatchObject(wrong);
    await expect(ImageBatch.load(join(folder, 'some.safetensors'), like)).rejects.toMatchObject(wrong);
  });

  it('reads levels of a data set in the range of a model', async () => {
    const path = join(folder, 'levels.safetensors');
    await writeSafetensors(path, { images: { shape: [1, 1, 1, 3], data: Uint8Array.of(0, 51, 255) } });
    const found = await ImageBatch.load(path, { range: [0, 1] });
    expect([...found.data]).toEqual([0, Math.fround(0.2), 1]);
    expect([...(await ImageBatch.load(path)).data]).toEqual([-1, Math.fround(-0.6), 1]);
  });

  it('reads what the call has asked for, whatever becomes of its argument', async () => {
    const [sampleShape, range] = [[1, 28, 28], [0, 1] as [number, number]];
    const loading = ImageBatch.load(join(folder, 'grey'), { sampleShape, range });
    sampleShape[0] = 3;
    range[1] = 255;
    const found = await loading;
    expect([found.shape, found.range]).toEqual([
      [2, 1, 28, 28],
      [0, 1],
    ]);
  });

  it('refuses what is no path, no shape, no PNG and a PNG without end', async () => {
    const argument = { code: 'ERR_DPM_ARGUMENT' };
    await expect(ImageBatch.load(7 as never)).rejects.toMatchObject(argument);
    await expect(ImageBatch.load(new URL('http://localhost/a.png'))).rejects.toMatchObject(argument);
    await expect(ImageBatch.load(join(folder, 'grey'), null as never)).rejects.toMatchObject(argument);
    await expect(ImageBatch.load(join(folder, 'grey'), { sampleShape: [28, 28] })).rejects.toMatchObject(argument);
    await expect(ImageBatch.load(join(folder, 'grey'), { range: [1, 1] })).rejects.toMatchObject(argument);
    const file = join(folder, 'wrong.png');
    const whole = encode({ width: 2, height: 3, channels: 3, depth: 8, data: levels(18, 7) });
    const wide = whole.slice();
    new DataView(wide.buffer).setUint32(16, 70_000);
    for (const bytes of [new Uint8Array(0), whole.slice(0, 20), whole.slice(0, 33), wide, levels(100, 1)]) {
      await writeFile(file, bytes);
      await expect(ImageBatch.load(file)).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    }
    await expect(ImageBatch.load(join(folder, 'none.png'))).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});

/** Lists every number of a result, in order. */
function numbersOf(result: unknown): number[] {
  if (typeof result === 'number') return [result];
  return typeof result === 'object' && result !== null ? Object.values(result).flatMap(numbersOf) : [];
}

describe('batches of images', () => {
  it('are taken where arrays of images are, and mapped to the range of the model', async () => {
    await using model = await dpm.DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    const array = Float32Array.from(grey.flatMap((each) => [...values(each)]));
    const batch = await ImageBatch.load(join(folder, 'grey'), model);
    const other = await ImageBatch.load(join(folder, 'grey'), { range: [0, 255] });
    const inOrder = Float32Array.from([...array.subarray(784), ...array.subarray(0, 784)]);
    const calls: ((images: dpm.GivenImages) => Promise<unknown>)[] = [
      async (images) => (await dpm.translate(model, images, { start: 0.1, stride: 50 })).images.data,
      async (images) => dpm.estimateGamma(model, images, { samples: 2, timesteps: [500] }),
      async (images) => dpm.estimateErrors(model, images, { samples: 2, timesteps: [500] }),
      async (images) => dpm.estimateLikelihood(model, images, { sampler: 'ddpm', steps: 2 }),
      async (images) => dpm.flowLikelihood(model, images, { atol: 0.1, rtol: 0.1 }),
    ];
    for (const call of calls) {
      const wanted = await call(inOrder);
      expect(await call(batch)).toEqual(wanted);
      const [mapped, own] = [numbersOf(await call(other)), numbersOf(wanted)];
      expect(mapped.length).toBe(own.length);
      mapped.forEach((value, i) => {
        if (Number.isNaN(own[i])) expect(value).toBeNaN();
        else expect(Math.abs(value - own[i]!)).toBeLessThan(1e-2 * (1 + Math.abs(own[i]!)));
      });
      const misfit = new ImageBatch(array, [2, 1, 14, 56]);
      await expect(call(misfit)).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
      await expect(call('images' as never)).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    }
  });

  it('say the shape of what they are compared with', async () => {
    const batch = await ImageBatch.load(join(folder, 'grey'));
    const same = dpm.compareImages(batch, batch);
    expect(dpm.compareImages(batch.data, batch)).toEqual(same);
    expect(dpm.compareImages(batch, batch.data)).toEqual(same);
    const wide = await ImageBatch.load(join(folder, 'grey'), { range: [0, 255] });
    expect(
      dpm.compareImages(
        wide,
        wide.data.map((value) => value / 2),
      ),
    ).not.toEqual(same);
    expect(dpm.compareImages(wide.data, wide)).toEqual(same);
    expect(() => dpm.compareImages(batch.data, batch.data)).toThrow(/one of both/);
    expect(() => dpm.compareImages(batch.data.slice(1), batch)).toThrow(/the images have 1567 values/);
  });
});

describe('a mask', () => {
  it('is 1 where its picture is white, of the sides of the images', async () => {
    const path = join(folder, 'mask.png');
    const data = Uint8Array.of(0, 51, 255, 0, 0, 255);
    await writeFile(path, encode({ width: 2, height: 3, channels: 1, depth: 8, data }));
    expect([...(await readMask(path, [3, 3, 2]))]).toEqual([0, Math.fround(0.2), 1, 0, 0, 1]);
    await expect(readMask(path, [3, 2, 3])).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
  });
});
