// `dpm gamma` of a text-to-image pipeline.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { estimateLatentGamma, ImageBatch, readGammaTable, TextToImage } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { temporaryFolder } from '../../support/temporary.js';
import { tinyAutoencoder, tinyImages, tinyPipeline, tinyRun, writeTinyImages } from '../../support/training-data.js';
import { trained } from '../../support/training-runs.js';

const folder = temporaryFolder();
const [data, captions, pipeline] = ['data.safetensors', 'captions.jsonl', 'pipeline'].map((name) => join(folder, name));
const images = tinyImages();
const texts = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? [`a red cat`, 'other'] : ['blue dogs']));

beforeAll(async () => {
  await writeTinyImages(data!);
  await writeFile(captions!, texts.map((text, index) => JSON.stringify({ index, text })).join('\n'));
  const latents = join(folder, 'autoencoder');
  await trained(tinyRun({ data: data!, labels: false, network: tinyAutoencoder, out: latents, steps: 3 }));
  const options = { data: data!, captions: captions!, latents, network: tinyPipeline, out: pipeline!, steps: 2 };
  await trained(tinyRun({ ...options, labels: false }));
});

const gamma = (...options: string[]) =>
  dpm('gamma', pipeline!, '--data', data!, '--device', 'cpu', '--threads', '1', ...options);

describe('dpm gamma of a pipeline', () => {
  it('writes the table of its latents, by the first text of each image', async () => {
    const out = join(folder, 'tables', 'gamma.json');
    const given = ['--samples', '5', '--seed', '3', '--timesteps', '1,500,1000', '--batch', '2'];
    const told = await gamma('--captions', captions!, '--out', out, ...given);
    expect([told.code, told.stderr]).toEqual([0, '']);
    expect(told.stdout).toBe(`m_n for n = 1..1000 from 5 images each -> ${out}\n`);
    await using loaded = await TextToImage.load(pipeline!, { device: 'cpu', threads: 1 });
    const estimate = (prompt: string[]) =>
      estimateLatentGamma(loaded, new ImageBatch(images.images, images.shape), {
        prompt,
        samples: 5,
        seed: 3,
        timesteps: [1, 500, 1000],
        batch: 2,
      });
    const found = await readGammaTable(out);
    expect(found).toEqual(await estimate(texts.map(([first]) => first!)));
    expect(found.m).not.toEqual((await estimate(texts.map((all) => all.at(-1)!))).m);
    const shown = await gamma('--captions', captions!, '--out', out, ...given, '--json');
    expect(JSON.parse(shown.stdout)).toEqual({ out, samples: 5, steps: 1000 });
  });

  it.each([
    [['--out', 'x.json'], /--samples is missing/],
    [['--samples', '13', '--out', 'x.json'], /samples is 13/],
    [['--samples', '2', '--out', join(data!, 'x.json')], /--out|not a folder|ENOTDIR/],
  ])('is refused with %s', async (options, message) => {
    const told = await gamma('--captions', captions!, ...options);
    expect(told.code).not.toBe(0);
    expect(told.stderr).toMatch(message);
  });

  it('takes another schedule, and no options of models of pixels', async () => {
    const [own, out] = [join(folder, 'scheduler_config.json'), join(folder, 'other.json')];
    await writeFile(own, JSON.stringify({ _class_name: 'DDIMScheduler', num_train_timesteps: 20, clip_sample: false }));
    const base = ['--captions', captions!, '--samples', '2', '--out', out];
    expect((await gamma(...base, '--schedule', own)).code).toBe(0);
    expect((await readGammaTable(out)).numTrainTimesteps).toBe(20);
    for (const option of [
      ['--image-size', '8'],
      ['--head', 'npr'],
      ['--network-time', 'index'],
    ]) {
      const told = await gamma(...base, ...option);
      expect([told.code, told.stderr]).toEqual([2, expect.stringContaining(`${option[0]!} is for models of pixels`)]);
    }
  });

  it('is refused with captions of fewer images', async () => {
    const few = join(folder, 'few.jsonl');
    await writeFile(few, JSON.stringify({ index: 0, text: 'a' }));
    const told = await gamma('--captions', few, '--samples', '1', '--out', join(folder, 'x.json'));
    expect(told.code).toBe(1);
    expect(told.stderr).toMatch(/image 1 has no caption|captions/);
  });
});
