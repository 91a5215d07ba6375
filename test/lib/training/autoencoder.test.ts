import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { Autoencoder, Trainer, type OpenedImages, type TrainerOptions } from '../../../lib/index.js';
import { failure } from '../../support/failure.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { tinyAutoencoder as tiny, tinyImages, tinyNetwork, tinyRun } from '../../support/training-data.js';
import { trained } from '../../support/training-runs.js';

const folder = temporaryFolder();
let places = 0;
const newFolder = (): string => join(folder, `run-${places++}`);

const data: OpenedImages = { ...tinyImages(8), labels: null };

const run = (changed: Partial<TrainerOptions> = {}): TrainerOptions =>
  tinyRun({ data, network: tiny, batch: 8, ...changed });

const valuesOf = ({ images }: OpenedImages): Float32Array =>
  Float32Array.from(images, (level) => (2 * level) / 255 - 1);

/** Mean squared difference of images and what comes back of them. */
async function distortion(autoencoder: Autoencoder, images: Float32Array): Promise<number> {
  const { mean } = await autoencoder.encode(images, { height: 8, width: 8 });
  const back = await autoencoder.decode(mean, { height: 8, width: 8 });
  return back.reduce((sum, value, i) => sum + (value - (images[i] ?? NaN)) ** 2, 0) / back.length;
}

describe('an autoencoder', () => {
  it('learns to give back images, by the mean of the squared differences', async () => {
    await using trainer = await Trainer.open(run({ out: newFolder(), rate: 0, averageDecay: 0, steps: 2 }));
    const [first, second] = [await trainer.step(), await trainer.step()];
    await using autoencoder = await trainer.autoencoder();
    const expected = await distortion(autoencoder, valuesOf(data));
    // Every step sees all images, without noise.
    expect(first.loss / expected).toBeCloseTo(1, 5);
    expect(second.loss / expected).toBeCloseTo(1, 5);
    expect(trainer.isAutoencoder).toBe(true);
  });

  it('gives back more the longer it learns, and is a folder that diffusers has, too', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(run({ out, steps: 60, checkpointEvery: 60, rate: 5e-3, averageDecay: 0 }));
    const { loss: before } = await trainer.step();
    await trainer.run();
    await using autoencoder = await Autoencoder.load(out, { device: 'cpu' });
    expect(await distortion(autoencoder, valuesOf(data))).toBeLessThan(0.8 * before);
    const names = (await readdir(out)).filter((name) => !name.startsWith('.'));
    expect(names.toSorted()).toEqual([
      'checkpoints',
      'config.json',
      'diffusion_pytorch_model.safetensors',
      'metrics.jsonl',
      'run.json',
    ]);
    expect(JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))).toEqual(tiny);
  });

  it('goes on to the bit, and from the weights of a folder', async () => {
    const [whole, parts] = [newFolder(), newFolder()];
    const all = await trained(run({ out: whole }));
    {
      await using begun = await Trainer.open(run({ out: parts }));
      for (let step = 0; step < 3; ++step) await begun.step();
    }
    expect(await trained(run({ out: parts }))).toEqual(all);
    await using further = await Trainer.open(run({ network: whole, out: newFolder(), rate: 0, averageDecay: 0 }));
    await using autoencoder = await Autoencoder.load(whole, { device: 'cpu' });
    const { loss } = await further.step();
    expect(loss / (await distortion(autoencoder, valuesOf(data)))).toBeCloseTo(1, 5);
  });

  it('is a small one of as many channels as the images where none is given', async () => {
    const grey = tinyImages(8, [1, 8, 8]);
    const options = run({ network: undefined, autoencoder: true, data: grey, out: newFolder(), steps: 1 });
    await using trainer = await Trainer.open(options);
    await trainer.run();
    await using autoencoder = await trainer.autoencoder();
    expect([autoencoder.imageChannels, autoencoder.latentChannels, autoencoder.factor]).toEqual([1, 4, 4]);
    expect(trainer.parameters).toBe(206_277);
    expect(trainer.classes).toBe(0);
  });

  it('shows images beside what comes back, of larger ones the middle', async () => {
    const larger = { ...tinyImages(3, [3, 10, 10]), labels: null };
    const out = newFolder();
    await using trainer = await Trainer.open(run({ data: larger, cropMargin: 2, out, steps: 1, batch: 3 }));
    await trainer.run();
    const pairs = await trainer.reconstructions(5);
    expect(pairs.shape).toEqual([6, 3, 8, 8]);
    const values = valuesOf(larger);
    const back = pairs.slice(3, 4).data;
    const second = pairs.slice(2, 3).data;
    // Pixel (5, 1) of the second channel of the second image, one further from either side of the larger one.
    expect(second[64 + 8 * 5 + 1]).toBeCloseTo(values[300 + 100 + 10 * 6 + 2]!, 6);
    await using autoencoder = await trainer.autoencoder();
    const { mean } = await autoencoder.encode(second.slice(), { height: 8, width: 8 });
    expect(Array.from(back)).toEqual(Array.from(await autoencoder.decode(mean, { height: 8, width: 8 })));
  });

  it('is refused with options that it has no use for', async () => {
    const useless: Partial<TrainerOptions> = {
      prediction: 'v',
      labelDropout: 0.1,
      dropout: 0.1,
      snrGamma: 5,
      levelSampling: 'uniform',
      head: 'npr',
      headMode: 'simple',
      classifier: true,
      schedule: 'scheduler_config.json',
      config: 'ho-cifar10-32',
    };
    for (const [name, value] of Object.entries(useless)) {
      const error = await failure(Trainer.open(run({ [name]: value })));
      expect([error.code, error.message]).toEqual([
        'ERR_DPM_ARGUMENT',
        expect.stringMatching(new RegExp(`^${name}: an autoencoder`)),
      ]);
    }
    const other = await failure(Trainer.open(run({ network: tinyNetwork, autoencoder: true })));
    expect([other.code, other.message]).toEqual(['ERR_DPM_ARGUMENT', 'autoencoder: network is none']);
  });

  it('is refused where it cannot be trained, or does not fit the images', async () => {
    const kl = join(folder, 'kl.json');
    await writeFile(kl, JSON.stringify({ _class_name: 'AutoencoderKL' }));
    expect((await failure(Trainer.open(run({ network: kl })))).code).toBe('ERR_DPM_UNSUPPORTED');
    for (const images of [tinyImages(2, [3, 7, 8]), tinyImages(2, [3, 8, 9]), tinyImages(2, [1, 8, 8])]) {
      const error = await failure(Trainer.open(run({ data: images })));
      expect([error.code, error.message]).toEqual(['ERR_DPM_TENSOR_SHAPE', expect.stringContaining('divides both')]);
    }
    const uneven = { ...tiny, out_channels: 4 };
    expect((await failure(Trainer.open(run({ network: uneven })))).code).toBe('ERR_DPM_TENSOR_SHAPE');
  });

  it('is no model and no classifier, and these are no autoencoders', async () => {
    await using trainer = await Trainer.open(run({ out: newFolder() }));
    expect((await failure(trainer.model())).message).toBe('an autoencoder learns, which is no model');
    expect((await failure(trainer.classifier())).code).toBe('ERR_DPM_ARGUMENT');
    await using other = await Trainer.open(tinyRun({ out: newFolder() }));
    expect(other.isAutoencoder).toBe(false);
    expect((await failure(other.autoencoder())).message).toBe('what learns is no autoencoder');
    expect((await failure(other.reconstructions(1))).code).toBe('ERR_DPM_ARGUMENT');
  });

  it('goes on from TAESD', async () => {
    const taesd = packagePath('test/fixtures/latent/taesd');
    const names = await readdir(taesd);
    expect(names).toContain('config.json');
    await using trainer = await Trainer.open(run({ network: taesd, rate: 1e-4, averageDecay: 0, steps: 2 }));
    const { loss } = await trainer.step();
    expect((await trainer.step()).loss).toBeLessThan(loss);
  });
});
