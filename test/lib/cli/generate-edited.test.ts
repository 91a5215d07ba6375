// dpm generate --source-prompt: pictures drawn again from their own noise.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { readPngText } from '../../../lib/images/png-text.js';
import { ImageBatch, TextToImage } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const model = join(latentFixtures, 'sd1');

describe('dpm generate --source-prompt', () => {
  const begun = join(folder, 'source.png');
  const out = join(folder, 'edited.png');
  const again = join(folder, 'edited-again.png');
  const draw = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await dpm('generate', model, '--device', 'cpu', '--image', begun, '--scale', '1', ...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  };
  beforeAll(async () => {
    const pixels = Uint8Array.from({ length: 3 * 24 * 16 }, (_, i) => (7 * i) % 256);
    await new ImageBatch(pixels, [1, 3, 24, 16]).save(begun, { scale: 1 });
  });

  it('draws a picture again from its own noise, and so once more', async () => {
    await draw('a dog', '--source-prompt', 'a "cat",\nsitting', '--steps', '3', '--guidance', '3', '--out', out);
    await using pipeline = await TextToImage.load(model, { device: 'cpu' });
    const own = { height: 24, width: 16, steps: 3 };
    const image = await ImageBatch.load(begun);
    const { noise } = await pipeline.invert({ ...own, image, prompt: 'a "cat",\nsitting' });
    const call = { ...own, prompt: 'a dog', init: noise, guidance: 3, sampler: 'ddim' } as const;
    const { images } = await pipeline.generate(call);
    expect((await ImageBatch.load(out)).toUint8()).toEqual(images!.toUint8());
    const text = await readPngText(out, 'parameters');
    expect(text).toContain(
      'Sampler: ddim, CFG scale: 3, Seed: 0, Size: 16x24, Source prompt: "a \\"cat\\",\\nsitting"',
    );
    expect(text).not.toContain('strength');
    await draw('--from', out, '--out', again);
    expect(readFileSync(again)).toEqual(readFileSync(out));
    await draw('--from', out, '--out', again, '--source-prompt', 'a horse', '--sampler', 'probability-flow');
    expect(readFileSync(again)).not.toEqual(readFileSync(out));
  });

  it('gives way to another beginning of a picture that is drawn again, and takes its place', async () => {
    await draw('a dog', '--source-prompt', 'a cat', '--steps', '4', '--out', out);
    await draw('--from', out, '--strength', '0.5', '--out', again);
    const text = (await readPngText(again, 'parameters')) ?? '';
    expect(text).toContain('Denoising strength: 0.5');
    expect(text).not.toContain('Source prompt');
    await draw('--from', again, '--source-prompt', 'a cat', '--out', again);
    expect(readFileSync(again)).toEqual(readFileSync(out));
    const mask = join(folder, 'mask.png');
    await new ImageBatch(new Uint8Array(24 * 16).fill(255, 200), [1, 1, 24, 16]).save(mask, { scale: 1 });
    await draw('--from', out, '--mask', mask, '--out', again);
    expect(await readPngText(again, 'parameters')).not.toContain('Source prompt');
    const refined = ['generate', model, '--from', out, '--image', begun, '--refiner', model, '--out', again];
    expect((await dpm(...refined)).stderr).toContain('the picture of --from was drawn from the noise of a picture');
  });

  it.each([
    [['--strength', '0.5', '--image', begun], 'leave --strength out'],
    [['--mask', begun, '--image', begun], 'leave --mask out'],
    [['--refiner', model, '--image', begun], 'leave --refiner out'],
    [[], '--source-prompt is for --image FILE'],
    [['--image', begun, '--sampler', 'ddpm'], 'sampler ddpm cannot be taken back'],
  ])('refuses %j', async (args, message) => {
    const given = ['a dog', '--source-prompt', 'a cat', '--out', out, '--device', 'cpu', ...args];
    const { code, stderr } = await dpm('generate', model, ...given);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
  });
});
