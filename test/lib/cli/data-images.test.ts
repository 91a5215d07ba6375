// Images that commands read from the files that training takes, too.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { readDataImages } from '../../../lib/cli/data-images.js';
import { writeSafetensors } from '../../../lib/files/tensor-data.js';
import { readNamedImages } from '../../../lib/images/load.js';
import { openImages } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { tinyImages } from '../../support/training-data.js';

const folder = temporaryFolder();
const [idx, tensors] = [join(folder, 'few-images-idx3-ubyte'), join(folder, 'few.safetensors')];
const count = 6;
const sampleShape = [1, 28, 28] as const;
const { images, labels } = tinyImages(count, sampleShape);
const cpu = ['--device', 'cpu', '--threads', '1'];

/** A file of IDX: bytes behind their dimensions. */
function idxFile(dimensions: readonly number[], values: Iterable<number>): Buffer {
  const header = Buffer.alloc(4 + 4 * dimensions.length);
  header.writeUInt32BE(0x800 + dimensions.length);
  dimensions.forEach((size, i) => header.writeUInt32BE(size, 4 + 4 * i));
  return Buffer.concat([header, Uint8Array.from(values)]);
}

beforeAll(async () => {
  await writeFile(idx, idxFile([count, 28, 28], images as Uint8Array));
  await writeFile(join(folder, 'few-labels-idx1-ubyte'), idxFile([count], labels!));
  await writeSafetensors(tensors, { images: { shape: [count, ...sampleShape], data: images } });
});

describe('the images of a data set', () => {
  it.each([
    [-1, 1],
    [0, 1],
  ] as const)('are the same in IDX and in safetensors, from %d to %d', async (...range) => {
    const found = await readDataImages(idx, { sampleShape, range }, { labels: true });
    expect((await readDataImages(idx, { sampleShape, range })).labels).toBeNull();
    const expected = await readNamedImages(tensors, { sampleShape, range });
    expect(found).toEqual({ ...expected, labels });
    expect(await readDataImages(tensors, { sampleShape, range })).toEqual({ ...expected, labels: null });
  });

  it('are pictures of either format, PNG with their names', async () => {
    const [jpeg, png] = [join(folder, 'jpeg'), join(folder, 'png')];
    await Promise.all([mkdir(jpeg), mkdir(png)]);
    await copyFile(packagePath('test/fixtures/jpeg/444.jpg'), join(jpeg, 'a.jpg'));
    const { shape, images: values, names } = await readDataImages(jpeg, {});
    const opened = await openImages(jpeg);
    expect([shape, names]).toEqual([[...opened.shape], null]);
    expect(values).toEqual(Float32Array.from(opened.images, (level) => (2 * level) / 255 - 1));
    await copyFile(packagePath('models/mnist-domains/printed-digits.png'), join(png, 'b.png'));
    expect((await readDataImages(png, {})).names).toEqual(['b.png']);
    expect((await readDataImages(join(png, 'b.png'), {})).names).toEqual(['b.png']);
    const both = join(folder, 'both');
    await mkdir(both);
    await copyFile(packagePath('test/fixtures/jpeg/444.jpg'), join(both, 'a.jpg'));
    await copyFile(packagePath('test/fixtures/jpeg/444.png'), join(both, 'b.png'));
    const mixed = await readDataImages(both, {});
    expect([mixed.shape[0], mixed.names]).toEqual([2, null]);
  });

  it('have the shape that is asked for', async () => {
    await expect(readDataImages(idx, { sampleShape: [1, 28, 27] })).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_SHAPE',
    });
    process.env.DPM_MEMORY = '0.00001';
    try {
      await expect(readDataImages(idx, {})).rejects.toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY' });
    } finally {
      delete process.env.DPM_MEMORY;
    }
    await expect(readDataImages(join(folder, 'none'), {})).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    const signal = AbortSignal.abort();
    await expect(readDataImages(join(folder, 'jpeg'), {}, { signal })).rejects.toMatchObject({
      code: 'ERR_DPM_ABORTED',
    });
  });
});

describe('commands', () => {
  it('estimate the same from IDX as from safetensors', async () => {
    const tables: Buffer[] = [];
    for (const data of [idx, tensors]) {
      const out = join(folder, `gamma-${tables.length}.json`);
      const own = ['--data', data, '--samples', '2', '--timesteps', '1,500,1000', '--out', out];
      expect((await dpm('gamma', 'mnist', ...own, ...cpu)).stderr).not.toContain('error');
      tables.push(await readFile(out));
    }
    expect(tables[1]).toEqual(tables[0]);
    const bounds: string[] = [];
    for (const data of [idx, tensors]) {
      const own = ['--sampler', 'ddpm', '--data', data, '--steps', '2', '--samples', '2', '--json'];
      bounds.push((await dpm('nll', 'mnist', ...own, ...cpu)).stdout.replaceAll(/"seconds":[\d.e-]+/g, ''));
    }
    expect(bounds[1]).toBe(bounds[0]);
    expect(bounds[0]).toContain('bits');
  });

  it('compare classes with the labels beside the images', async () => {
    const told = await dpm('classify', 'mnist-classifier', '--input', idx, '--noise-levels', '2', ...cpu, '--json');
    const { images: found, levels } = JSON.parse(told.stdout) as { images: number; levels: { accuracy: number }[] };
    expect([found, levels.length]).toEqual([count, 2]);
    const domains = await dpm('classify', 'mnist-domains', '--input', idx, ...cpu);
    expect(domains.stderr).toContain('the label 2, the classifier has 2 classes');
    const without = await dpm('classify', 'mnist-classifier', '--input', tensors, '--noise-levels', '2', ...cpu);
    expect(without.stderr).toContain('--noise-levels is for images with labels');
  });
});
