// dpm generate --refiner: a second pipeline that takes the last steps.
import { readFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { readPngText } from '../../../lib/images/png-text.js';
import { ImageBatch, TextToImage } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();

describe('dpm generate --refiner', () => {
  const [base, refiner] = [join(latentFixtures, 'sdxl'), join(folder, 'refiner')];
  const out = join(folder, 'refined.png');
  const own = ['--device', 'cpu', '--steps', '5', '--size', '24x16', '--scale', '1', '--count', '2'];
  beforeAll(async () => {
    await cp(join(latentFixtures, 'sdxl-refiner'), refiner, { recursive: true });
    const parts = ['text_encoder_2', 'tokenizer_2', 'vae'];
    await Promise.all(parts.map((part) => cp(join(base, part), join(refiner, part), { recursive: true })));
  });
  const drawn = async (...args: string[]): Promise<Uint8Array> => {
    const { code, stderr } = await dpm('generate', base, ...args, '--refiner', refiner);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return (await ImageBatch.load(out)).toUint8();
  };

  it('lets it go on where the base has left off, tells so, and does so again', async () => {
    const picture = await drawn('a cat', '--out', out, ...own, '--refiner-start', '0.6');
    await using first = await TextToImage.load(base, { device: 'cpu' });
    await using second = await TextToImage.load(refiner, { device: 'cpu' });
    const call = { prompt: 'a cat', steps: 5, height: 24, width: 16, count: 2 };
    const { latents } = await first.generate({ ...call, denoisingEnd: 0.6, output: 'latents' });
    const { images } = await second.generate({ ...call, image: latents, denoisingStart: 0.6 });
    const whole = join(folder, 'whole.png');
    await images!.save(whole, { scale: 1 });
    expect(picture).toEqual((await ImageBatch.load(whole)).toUint8());
    expect(await readPngText(out, 'parameters')).toContain('Refiner: refiner, Refiner switch at: 0.6, Batch size: 2');
    const bytes = readFileSync(out);
    const again = await dpm('generate', base, '--from', out, '--out', out, '--device', 'cpu', '--scale', '1');
    expect(again).toMatchObject({ code: 2 });
    expect(again.stderr).toContain('finished by a refiner: --refiner MODEL');
    await drawn('--from', out, '--out', out, '--device', 'cpu', '--scale', '1');
    expect(readFileSync(out)).toEqual(bytes);
    const standard = await drawn('a cat', '--out', out, ...own);
    expect(standard).not.toEqual(picture);
    expect(await drawn('a cat', '--out', out, ...own, '--refiner-start', '0.8')).toEqual(standard);
    expect(await readPngText(out, 'parameters')).toContain('Refiner switch at: 0.8');
    expect(await drawn('a cat', '--out', out, ...own, '--keep', 'none')).toEqual(standard);
  });

  it('runs on the device of the base', async () => {
    const load = vi.spyOn(TextToImage, 'load');
    onTestFinished(() => {
      load.mockRestore();
    });
    await drawn('a cat', '--out', out, ...own, '--threads', '1', '--exact', '--keep', 'none');
    expect(load.mock.calls.map(([path]) => path)).toEqual([base, refiner]);
    const settings = { device: 'cpu', threads: 1, exact: true };
    for (const [, given] of load.mock.calls) expect(given).toMatchObject(settings);
    expect(load.mock.calls[1]![1]).toMatchObject({ keep: 'none' });
  });

  it('goes on from a picture, too', async () => {
    const begun = join(folder, 'to-refine.png');
    await new ImageBatch(new Uint8Array(3 * 16 * 24).fill(90), [1, 3, 16, 24]).save(begun, { scale: 1 });
    const given = ['a cat', '--out', out, '--scale', '1', '--steps', '5', '--image', begun, '--strength'];
    const weak = await drawn(...given, '0.8');
    expect((await ImageBatch.load(out)).shape).toEqual([1, 3, 16, 24]);
    expect(await drawn(...given, '1')).not.toEqual(weak);
  });

  it.each([
    [['--refiner-start', '0.5'], '--refiner-start is for --refiner MODEL'],
    [['--refiner', 'nowhere'], 'nowhere'],
    [['--refiner', 'nowhere', '--refiner-start', '0'], '--refiner-start is 0'],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await dpm('generate', base, 'a cat', '--out', out, ...own, ...args);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
  });
});
