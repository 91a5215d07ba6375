import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { Trainer, type OpenedImages } from '../../../lib/index.js';
import { pathsIn, temporaryFolder } from '../../support/temporary.js';
import { tinyImages, tinyRun, writeTinyImages } from '../../support/training-data.js';
import { trained } from '../../support/training-runs.js';

const newFolder = pathsIn(temporaryFolder());

/** Images each of which has one color, so that all windows of one are the same. */
function plainImages(side: number): OpenedImages {
  const images = tinyImages(12, [3, side, side]);
  return { ...images, images: images.images.map((_, i) => (Math.floor(i / side ** 2) * 37) % 256) };
}

describe('windows of images', () => {
  it('are what is learned', async () => {
    const plain = await trained({ data: plainImages(8) });
    expect(await trained({ data: plainImages(11), cropMargin: 3 })).toEqual(plain);
    expect(await trained({ data: tinyImages(12, [3, 11, 11]), cropMargin: 3 })).not.toEqual(plain);
  });

  it('are those of each step, so that a run that goes on is one that never stopped', async () => {
    const changed = { data: tinyImages(12, [3, 11, 11]), cropMargin: 3, out: newFolder() };
    await using first = await Trainer.open(tinyRun(changed));
    await first.step();
    await first.save();
    await first.close();
    await expect(Trainer.open(tinyRun({ ...changed, data: tinyImages(), cropMargin: 0 }))).rejects.toThrow(
      /^(data|cropMargin) is /,
    );
    await using second = await Trainer.open(tinyRun(changed));
    expect(second.begun).toBe(1);
    await second.run();
    expect(await second.tensors('parameters')).toEqual(await trained({ ...changed, out: undefined }));
  });

  it('have no part in a run without a margin, as those that were begun before there were any', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(tinyRun({ out, cropMargin: 0 }));
    expect(JSON.parse(await readFile(join(out, 'run.json'), 'utf8'))).not.toHaveProperty('options.cropMargin');
    expect(trainer.sampleShape).toEqual([3, 8, 8]);
  });

  it('have the sides of the network, and give them to one that is not given', async () => {
    await using given = await Trainer.open(tinyRun({ data: tinyImages(12, [3, 10, 10]), cropMargin: 2 }));
    await using standard = await Trainer.open(
      tinyRun({ data: tinyImages(12, [3, 12, 10]), cropMargin: 2, network: undefined }),
    );
    expect([given.sampleShape, standard.sampleShape]).toEqual([
      [3, 8, 8],
      [3, 10, 8],
    ]);
  });

  it('are of images that are brought to the sides with the margin', async () => {
    const data = await writeTinyImages(`${newFolder()}.safetensors`);
    await expect(Trainer.open(tinyRun({ data, cropMargin: 2 }))).rejects.toThrow(/\[N, 3, 10, 10\]/);
    await using trainer = await Trainer.open(tinyRun({ data, cropMargin: 2, resize: true }));
    expect(trainer.sampleShape).toEqual([3, 8, 8]);
    await trainer.step();
  });

  it.each([
    [{ cropMargin: 8, network: undefined }, 'cropMargin: 8 pixels leave nothing of images of 8 x 8'],
    [{ cropMargin: 1 }, 'data.images is [12, 3, 8, 8], it has to be [N, 3, 9, 9]'],
    [{ cropMargin: -1 }, 'cropMargin'],
    [{ cropMargin: 65_536 }, 'cropMargin'],
    [{ cropMargin: 0.5 }, 'cropMargin'],
  ])('are refused as %o', async (changed, message) => {
    await expect(Trainer.open(tinyRun(changed))).rejects.toThrow(message);
  });
});
