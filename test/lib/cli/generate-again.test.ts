// dpm generate --from: pictures that are drawn again by the parameters that they hold.
import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { parseParameters } from '../../../lib/cli/drawing-parameters.js';
import { readPngText } from '../../../lib/images/png-text.js';
import { ImageBatch } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const model = join(latentFixtures, 'sd1');
const small = ['--device', 'cpu', '--steps', '3', '--size', '16x24'];

describe('dpm generate --from', () => {
  const first = join(folder, 'first.png');
  const again = join(folder, 'again.png');
  const cpu = ['--device', 'cpu'];
  const run = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await dpm('generate', ...args, ...cpu);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  };
  const parametersIn = async (path: string) =>
    parseParameters((await readPngText(path, 'parameters')) ?? '', path).parameters;

  it('draws the same picture, byte for byte, whatever was given', async () => {
    const prompt = 'a "red", cat: \u{1f98a}\nNegative prompt: no\nSteps: 3';
    const given = [
      '--negative',
      'blurry\n, "x"',
      '--sampler',
      'ancestral',
      '--guidance',
      '4.25',
      '--seed',
      '18446744073709551615',
    ];
    const more = ['--clip-skip', '1', '--tile', '4', '--size', '32x24', '--steps', '4'];
    await run(model, prompt, '--out', first, ...given, ...more);
    expect(await parametersIn(first)).toEqual({
      prompt,
      negativePrompt: 'blurry\n, "x"',
      steps: 4,
      sampler: 'ancestral',
      guidance: 4.25,
      seed: 2n ** 64n - 1n,
      height: 32,
      width: 24,
      skippedLayers: 1,
      tile: 4,
    });
    await run(model, '--from', first, '--out', again);
    expect(readFileSync(again)).toEqual(readFileSync(first));
  });

  it('says the defaults of the pipeline, too', async () => {
    await run(model, 'a cat', '--out', first, '--steps', '2');
    expect(await readPngText(first, 'parameters')).toBe(
      'a cat\nSteps: 2, Sampler: scheduler, CFG scale: 7.5, Seed: 0, Size: 32x32, Model: sd1, Version: dpm-native',
    );
    await run(model, '--from', first, '--out', again);
    expect(readFileSync(again)).toEqual(readFileSync(first));
    const lcm = join(latentFixtures, 'lcm');
    await run(lcm, 'a cat', '--out', first, '--size', '16');
    expect(await parametersIn(first)).toMatchObject({ steps: 50, guidance: 7.5, height: 16 });
  });

  it('draws a grid, and each picture of a folder, whose own parameters say which it is', async () => {
    await run(model, 'a cat', '--out', first, ...small.slice(2), '--count', '3', '--seed', '6');
    expect(await parametersIn(first)).toMatchObject({ count: 3, seed: 6n });
    await run(model, '--from', first, '--out', again);
    expect(readFileSync(again)).toEqual(readFileSync(first));
    const pictures = join(folder, 'pictures');
    await run(model, '--from', first, '--out', pictures);
    expect(readdirSync(pictures)).toEqual(['00000.png', '00001.png', '00002.png']);
    for (const [position, name] of readdirSync(pictures).entries()) {
      expect(await parametersIn(join(pictures, name))).toMatchObject({ count: 3, position });
      await run(model, '--from', join(pictures, name), '--out', again, '--scale', '1');
      expect(readFileSync(again)).toEqual(readFileSync(join(pictures, name)));
    }
    // The whole call again, and the first image of another seed.
    await run(model, '--from', join(pictures, '00002.png'), '--out', again, '--count', '3');
    expect(readFileSync(again)).toEqual(readFileSync(first));
    await run(model, '--from', join(pictures, '00002.png'), '--out', again, '--seed', '7');
    expect((await parametersIn(again)).position).toBeUndefined();
    await run(model, 'a cat', '--out', first, ...small.slice(2), '--seed', '7');
    expect(readFileSync(again)).toEqual(readFileSync(first));
  });

  it.each([
    [['a dog'], { prompt: 'a dog' }],
    [['--negative', 'dark'], { negativePrompt: 'dark' }],
    [['--steps', '4'], { steps: 4 }],
    [['--sampler', 'euler'], { sampler: 'euler' }],
    [['--guidance', '2'], { guidance: 2 }],
    [['--size', '16'], { height: 16, width: 16 }],
    [['--seed', '9'], { seed: 9n }],
    [['--count', '2'], { count: 2 }],
    [['--clip-skip', '2'], { skippedLayers: 2 }],
    [['--tile', '8'], { tile: 8 }],
  ])('replaces what the file says by %j', async (options, replaced) => {
    await run(model, 'a cat', '--out', first, ...small.slice(2), '--negative', 'x', '--clip-skip', '1', '--tile', '4');
    await run(model, ...options, '--from', first, '--out', again);
    expect(await parametersIn(again)).toEqual({ ...(await parametersIn(first)), ...replaced });
    const images = async (path: string): Promise<Uint8Array> => (await ImageBatch.load(path)).toUint8();
    // Tiles as large as the image are the image.
    if (options[0] !== '--tile') expect(await images(again)).not.toEqual(await images(first));
  });

  it('begins with the same picture, which has to be given again', async () => {
    const [one, two] = ['one.png', 'two.png'].map((name) => join(folder, name)) as [string, string];
    await run(model, 'a dog', '--out', one, ...small.slice(2), '--scale', '1');
    await run(model, 'a cat', '--image', one, '--out', first, '--steps', '4', '--strength', '0.5');
    expect(await parametersIn(first)).toMatchObject({ strength: 0.5, steps: 4, height: 16, width: 24 });
    await run(model, '--from', first, '--image', one, '--out', again);
    expect(readFileSync(again)).toEqual(readFileSync(first));
    await run(model, '--from', first, '--image', one, '--strength', '1', '--out', again);
    expect(await parametersIn(again)).toMatchObject({ strength: 1 });
    expect(readFileSync(again)).not.toEqual(readFileSync(first));
    const without = await dpm('generate', model, '--from', first, '--out', again, ...cpu);
    expect([without.code, without.stderr]).toEqual([
      2,
      expect.stringContaining('began with another one: --image FILE'),
    ]);
    await run(model, 'a dog', '--out', two, ...small.slice(2), '--seed', '1', '--scale', '1');
    const pictures = join(folder, 'begun');
    await ImageBatch.load(one).then((image) => image.save(join(pictures, 'a.png')));
    await ImageBatch.load(two).then((image) => image.save(join(pictures, 'b.png')));
    const drawn = join(folder, 'drawn');
    const both = ['--image', pictures, '--count', '2', '--steps', '4'];
    await run(model, 'a cat', ...both, '--out', drawn);
    await run(model, '--from', join(drawn, '00001.png'), '--image', pictures, '--out', again, '--scale', '1');
    expect(readFileSync(again)).toEqual(readFileSync(join(drawn, '00001.png')));
    expect((await parametersIn(again)).strength).toBe(0.8);
  });

  it.each([
    ['strength', '0.5'],
    ['mask', 'mask.png'],
  ])('needs a picture for --%s', async (name, value) => {
    const { code, stderr } = await dpm('generate', model, 'a cat', `--${name}`, value, '--out', again, ...cpu);
    expect([code, stderr]).toEqual([2, expect.stringContaining(`--${name} is for --image FILE`)]);
  });

  it('tells no negative prompt from an empty one, which SDXL sees', async () => {
    const sdxl = join(latentFixtures, 'sdxl');
    await run(sdxl, 'a cat', '--out', first, ...small.slice(2));
    await run(sdxl, '--from', first, '--out', again);
    expect(readFileSync(again)).toEqual(readFileSync(first));
    const empty = join(folder, 'empty.png');
    await run(sdxl, '--from', first, '--negative', '', '--out', empty);
    expect((await ImageBatch.load(empty)).toUint8()).not.toEqual((await ImageBatch.load(first)).toUint8());
    await run(sdxl, '--from', empty, '--out', again);
    expect(readFileSync(again)).toEqual(readFileSync(empty));
  });

  it('finds nothing where nothing was to be written', async () => {
    await run(model, 'a cat', '--out', first, ...small.slice(2), '--no-metadata');
    expect(await readPngText(first, 'parameters')).toBeNull();
    const { code, stderr } = await dpm('generate', model, '--from', first, '--out', again, ...cpu);
    expect([code, stderr.includes(`${first}: the PNG has no parameters`)]).toEqual([1, true]);
    await run(model, 'a cat', '--out', join(folder, 'plain'), ...small.slice(2), '--count', '2', '--no-metadata');
    expect(await readPngText(join(folder, 'plain', '00001.png'), 'parameters')).toBeNull();
  });

  it('names what is wrong or not known, and reads no more than is needed', async () => {
    const image = new ImageBatch(new Uint8Array(3), [1, 3, 1, 1]);
    const text = 'a cat\nSteps: 2, Sampler: Euler a, Size: 16x16, Hires upscale: 2';
    await image.save(first, { texts: { parameters: text } });
    await rm(again, { force: true });
    const refused = await dpm('generate', model, '--from', first, '--out', again, ...cpu);
    expect(refused.stderr).toContain(`${first}: its parameters say that Sampler is "Euler a"`);
    expect(readdirSync(folder)).not.toContain('again.png');
    const drawn = await dpm('generate', model, '--from', first, '--out', again, '--sampler', 'euler', ...cpu);
    expect([drawn.code, drawn.stderr]).toEqual([0, `${first}: these parameters are left out: Hires upscale\n`]);
    expect((await parametersIn(again)).sampler).toBe('euler');
  });

  it('or a prompt is needed', async () => {
    const { code, stderr } = await dpm('generate', model, '--out', again, ...cpu);
    expect([code, stderr.includes('dpm generate takes MODEL PROMPT, or MODEL and --from')]).toEqual([2, true]);
  });
});
