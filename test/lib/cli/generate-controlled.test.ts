// dpm generate --controlnet: pictures that control what is drawn.
import { mkdir } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { readPngText } from '../../../lib/images/png-text.js';
import { ImageBatch, TextToImage, type ControlOptions } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const model = join(latentFixtures, 'sd1');
const [first, second] = ['a', 'b'].map((name) => join(latentFixtures, `controlnet/controlnet-${name}`)) as [
  string,
  string,
];

describe('dpm generate --controlnet', () => {
  const out = join(folder, 'controlled.png');
  const own = ['--device', 'cpu', '--steps', '4', '--sampler', 'ddim', '--scale', '1', '--out', out];
  const [grey, red, both] = ['grey.png', 'red.png', 'both'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  beforeAll(async () => {
    await mkdir(both);
    const levels = Uint8Array.from({ length: 32 * 16 }, (_, i) => (i * 37) % 256);
    const reds = Uint8Array.from({ length: 3 * 32 * 16 }, (_, i) => (i < 512 ? (i * 11) % 256 : 0));
    await new ImageBatch(levels, [1, 1, 32, 16]).save(grey, { scale: 1 });
    for (const [k, path] of [join(both, 'a.png'), join(both, 'b.png'), red].entries()) {
      await new ImageBatch(k === 0 ? reds.map((value) => 255 - value) : reds, [1, 3, 32, 16]).save(path, { scale: 1 });
    }
  });
  const drawn = async (...args: string[]): Promise<Uint8Array> => {
    const { code, stderr } = await dpm('generate', model, 'a cat', ...own, ...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return (await ImageBatch.load(out)).toUint8();
  };
  const expected = async (count: number, controlNets: string[], controls: ControlOptions[]): Promise<Uint8Array> => {
    await using pipeline = await TextToImage.load(model, { device: 'cpu', controlNets });
    const { images } = await pipeline.generate({ prompt: 'a cat', steps: 4, sampler: 'ddim', count, controls });
    const path = join(folder, 'expected.png');
    await images!.save(path, { scale: 1 });
    return (await ImageBatch.load(path)).toUint8();
  };

  it('draws what the library draws, and tells so', async () => {
    const image = await ImageBatch.load(grey);
    const plain = await drawn('--controlnet', first, '--control-image', grey);
    expect(plain).toEqual(await expected(1, [first], [{ image }]));
    expect(await readPngText(out, 'parameters')).toContain('ControlNets: "controlnet-a:1:0-1"');
    const args = ['--controlnet', first, '--controlnet', second, '--control-image', grey, '--control-image', both];
    const shares = Object.entries({ scale: [0.5, 0.25], end: [0.5, 0.75], start: [0.25, 0] });
    const given = shares.flatMap(([name, values]) => values.flatMap((value) => [`--control-${name}`, String(value)]));
    const two = await drawn(...args, ...given, '--count', '2');
    const controls = [
      { image, scale: 0.5, start: 0.25, end: 0.5 },
      { image: await ImageBatch.load(both), scale: 0.25, start: 0, end: 0.75 },
    ];
    expect(two).toEqual(await expected(2, [first, second], controls));
    expect(two).not.toEqual(
      await expected(
        2,
        [first, second],
        controls.map(({ image: of, scale }) => ({ image: of, scale })),
      ),
    );
    expect(await readPngText(out, 'parameters')).toContain('"controlnet-a:0.5:0.25-0.5, controlnet-b:0.25:0-0.75"');
  });

  it('is needed to draw such a picture again', async () => {
    await drawn('--controlnet', first, '--control-image', red);
    const again = join(folder, 'again.png');
    const from = ['generate', model, '--from', out, '--out', again, '--device', 'cpu', '--scale', '1'];
    const without = await dpm(...from);
    expect([without.code, without.stderr]).toEqual([0, `${out}: these parameters are left out: ControlNets\n`]);
    expect(readFileSync(again)).not.toEqual(readFileSync(out));
    const given = await dpm(...from, '--controlnet', first, '--control-image', red);
    expect(given.stderr).toBe('');
    expect(readFileSync(again)).toEqual(readFileSync(out));
  });

  it('takes for a picture of several the one of its place', async () => {
    const pictures = join(folder, 'pictures');
    const all = ['generate', model, 'a cat', '--device', 'cpu', '--steps', '2', '--count', '2', '--scale', '1'];
    const controlled = ['--controlnet', first, '--control-image', both];
    expect((await dpm(...all, ...controlled, '--out', pictures)).stderr).toBe('');
    const path = join(pictures, '00001.png');
    const again = join(folder, 'place.png');
    const from = ['generate', model, '--from', path, '--device', 'cpu', '--scale', '1', '--out', again];
    expect((await dpm(...from, ...controlled)).stderr).toBe('');
    expect(readFileSync(again)).toEqual(readFileSync(path));
  });

  it.each([
    [['--controlnet', first], '--controlnet is for --control-image FILE'],
    [['--controlnet', first, '--controlnet', second, '--control-image', 'x.png'], '1 times for 2 of --controlnet'],
    [['--control-scale', '1'], '--control-scale is for --control-image FILE'],
    [
      ['--control-image', 'x.png', '--control-scale', 'much'],
      "--control-scale is 'much', it has to be a finite number",
    ],
    [['--control-image', 'x.png', '--control-end', '1.5'], "--control-end is '1.5', it has to be a number from 0 to 1"],
    [['--control-image', 'x.png', '--control-start', ''], "--control-start is ''"],
    [['--control-image', 'x.png', '--control-start', '0', '--control-start', '0'], '2 times for 1 of --control-image'],
    [['--control-image', join(folder, 'no.png')], 'no.png'],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await dpm('generate', model, 'a cat', ...own, ...args);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
  });

  it('refuses pictures for a pipeline without ControlNets, and ControlNets that are none', async () => {
    const lonely = await dpm('generate', model, 'a cat', ...own, '--control-image', red);
    expect(lonely.stderr).toContain('controls has 1 entries, the pipeline 0 ControlNets');
    const unet = await dpm(
      'generate',
      model,
      'a cat',
      ...own,
      '--control-image',
      red,
      '--controlnet',
      join(model, 'unet'),
    );
    expect(unet.stderr).toContain('_class_name');
  });
});
