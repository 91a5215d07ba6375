// What can be trained: networks of every family, named in every way, and the images that they take.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { DiffusionModel, ImageBatch, readFloats, Trainer, type TrainerOptions } from '../../../lib/index.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readData, takenData } from '../../../lib/training/data/given-images.js';
import type { OpenedImages } from '../../../lib/training/data/open-images.js';
import { nativeOptions } from '../../../lib/training/learning.js';
import { trainingDefaults } from '../../../lib/training/options.js';
import { takenOptions } from '../../../lib/training/taken-options.js';
import { readTrainee } from '../../../lib/training/trainee.js';
import { packagePath, pathsIn, temporaryFolder } from '../../support/temporary.js';
import { tinyImages, tinyNetwork, tinyRun, writeTinyImages } from '../../support/training-data.js';

const folder = temporaryFolder();
const newFolder = pathsIn(folder);

/** Tensors of a file of weights. */
async function readAll(path: string): Promise<Map<string, Float32Array>> {
  const header = await readSafetensorsHeader(path);
  const tensors = new Map<string, Float32Array>();
  for (const name of header.tensors.keys()) tensors.set(name, (await readFloats(header, name)).data);
  return tensors;
}

const refusal = async (changed: Partial<TrainerOptions>): Promise<string> => {
  const outcome = await Trainer.open(tinyRun(changed)).then(
    async (trainer) => {
      await trainer.close();
      return 'opened';
    },
    (error: unknown) => error as { code: string; message: string },
  );
  return typeof outcome === 'string' ? outcome : `${outcome.code} ${outcome.message}`;
};

describe('a network that goes on', () => {
  it.each([
    ['test/fixtures/gradients/class-rows/diffusers-adm-tiny', 'unet/diffusion_pytorch_model'],
    ['test/fixtures/unet/diffusers-ddpm', 'unet/diffusion_pytorch_model'],
    ['test/fixtures/unet/ho-ddpm', 'model'],
    ['test/fixtures/unet/score-sde-ddpmpp', 'model'],
    ['test/fixtures/unet/score-sde-ncsnpp-fir', 'model'],
    ['test/fixtures/unet/openai-adm-class', 'model'],
    ['test/fixtures/unet/edm-ddpmpp', 'model'],
  ])('has the weights of %s as long as the rate is 0', async (name, weights) => {
    const network = packagePath(name);
    await using model = await DiffusionModel.load(network, { device: 'cpu', threads: 1 });
    const { classes } = model.unet.info;
    const out = newFolder();
    const images = tinyImages(4, [...model.sampleShape]);
    const data = { ...images, labels: classes > 0 ? images.labels!.map((label) => label % classes) : null };
    await using trainer = await Trainer.open(tinyRun({ network, data, out, rate: 0, steps: 1, batch: 1 }));
    await trainer.run();
    const [found, expected] = await Promise.all(
      [out, network].map((each) => readAll(join(each, `${weights}.safetensors`))),
    );
    expect(found!.size).toBeGreaterThan(20);
    for (const [tensor, values] of found!) expect(values, tensor).toEqual(expected!.get(tensor));
    await using again = await DiffusionModel.load(out, { device: 'cpu', threads: 1 });
    expect([...again.unet.tensors.keys()]).toEqual([...model.unet.tensors.keys()]);
  });

  it('learns from there', async () => {
    const network = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny');
    const first = async (given: string): Promise<number> => {
      await using trainer = await Trainer.open(tinyRun({ network: given }));
      return (await trainer.step()).loss;
    };
    expect(await first(network)).not.toBe(await first(tinyNetwork));
  });
});

describe('a network that begins with nothing', () => {
  it('is a configuration, a file of one, the name of a preset, or a small one for the images', async () => {
    const config = JSON.parse(await readFile(tinyNetwork, 'utf8')) as Record<string, unknown>;
    const losses: number[] = [];
    for (const network of [config, tinyNetwork, new URL(`file://${tinyNetwork}`)]) {
      await using trainer = await Trainer.open(tinyRun({ network }));
      losses.push((await trainer.step()).loss);
      expect([trainer.classes, trainer.sampleShape, trainer.images]).toEqual([6, [3, 8, 8], 12]);
    }
    expect(new Set(losses).size).toBe(1);
    await using own = await Trainer.open(tinyRun({ network: undefined }));
    expect([own.classes, own.sampleShape]).toEqual([6, [3, 8, 8]]);
    expect((await own.step()).loss).toBeGreaterThan(0);
    await using plain = await Trainer.open(tinyRun({ network: undefined, labels: false }));
    expect(plain.classes).toBe(0);
    for (const [changed, labelDropout] of [
      [{ network: undefined }, 0.1],
      [{ network: undefined, labels: false }, 0],
      [{}, 0],
    ] as const) {
      const out = newFolder();
      await (await Trainer.open(tinyRun({ ...changed, out }))).close();
      expect(JSON.parse(await readFile(join(out, 'run.json'), 'utf8'))).toMatchObject({ options: { labelDropout } });
    }
    const preset = await refusal({ network: 'ddpm-cifar10' });
    expect(preset).toBe('ERR_DPM_TENSOR_SHAPE data.images is [12, 3, 8, 8], it has to be [N, 3, 32, 32]');
  });

  it('has the noise schedule that is given, that of its folder, or that of DDPM', async () => {
    const place = join(folder, 'placed');
    await mkdir(join(place, 'unet'), { recursive: true });
    await mkdir(join(place, 'scheduler'));
    const network = join(place, 'unet', 'config.json');
    await writeFile(network, await readFile(tinyNetwork));
    const scheduler = { _class_name: 'DDPMScheduler', num_train_timesteps: 50, beta_schedule: 'squaredcos_cap_v2' };
    await writeFile(join(place, 'scheduler', 'scheduler_config.json'), JSON.stringify(scheduler));
    const other = join(folder, 'scheduler_config.json');
    await writeFile(other, JSON.stringify({ ...scheduler, num_train_timesteps: 20 }));
    const [beside, lone] = [join(folder, 'beside.json'), join(place, 'lone', 'config.json')];
    await mkdir(join(place, 'lone'));
    for (const each of [beside, lone]) await writeFile(each, await readFile(tinyNetwork));
    for (const [options, steps] of [
      [{ network }, 50],
      [{ network, schedule: other }, 20],
      [{ network: beside }, 20],
      [{ network: lone }, 1000],
    ] as const) {
      const out = newFolder();
      await using trainer = await Trainer.open(tinyRun({ ...options, out, steps: 1 }));
      await trainer.run();
      await using model = await DiffusionModel.load(out, { device: 'cpu', threads: 1 });
      expect(model.schedule.steps).toBe(steps);
    }
  });

  it('tells its model what it predicts', async () => {
    for (const prediction of ['x0', 'v', 'epsilon'] as const) {
      const out = newFolder();
      await using trainer = await Trainer.open(tinyRun({ out, prediction, steps: 1 }));
      await trainer.run();
      await using model = await DiffusionModel.load(out, { device: 'cpu', threads: 1 });
      expect(model.schedule.defaults.prediction).toBe(prediction);
    }
  });

  it('is given images in the range of its data', async () => {
    const config = JSON.parse(await readFile(tinyNetwork, 'utf8')) as Record<string, unknown>;
    const loss = async (changed: Partial<TrainerOptions>): Promise<number> => {
      await using trainer = await Trainer.open(tinyRun(changed));
      return (await trainer.step()).loss;
    };
    const centred = { ...config, center_input_sample: true };
    const data = tinyImages();
    const unit = { ...data, images: Float32Array.from(data.images, (level) => level / 255) };
    const both = { ...data, images: Float32Array.from(data.images, (level) => (2 * level) / 255 - 1) };
    expect(await loss({ network: centred })).toBe(await loss({ network: centred, data: unit }));
    expect(await loss({})).toBeCloseTo(await loss({ data: both }), 6);
    expect(await loss({ network: centred })).not.toBe(await loss({ network: centred, data: both }));
  });

  it('drops labels of images only where the network has one that stands for none', async () => {
    const taken = tinyImages();
    expect(await refusal({ labelDropout: 0.5 })).toBe('opened');
    const labels = taken.labels!.map((label) => label + 1);
    expect(await refusal({ labelDropout: 0.5, data: { ...taken, labels } })).toContain(
      'stands for none, but data have it',
    );
    expect(await refusal({ data: { ...taken, labels } })).toBe('opened');
    expect(await refusal({ data: { ...taken, labels: labels.map((label) => label + 1) } })).toContain('the label 6');
    expect(await refusal({ network: undefined, labels: false, labelDropout: 0.5 })).toContain('takes no classes');
    const loss = async (changed: Partial<TrainerOptions>): Promise<number> => {
      await using trainer = await Trainer.open(tinyRun(changed));
      return (await trainer.step()).loss;
    };
    const ofNone = taken.labels!.map(() => 5);
    expect(await loss({ labelDropout: 1 })).toBe(await loss({ data: { ...taken, labels: ofNone } }));
  });
});

describe('what cannot be trained is refused', () => {
  it.each([['a network with a variance head', 'test/fixtures/unet/ho-ddpm-head-complex']])(
    '%s',
    async (what, network) => {
      expect(await refusal({ network: packagePath(network) })).toMatch(new RegExp(`^ERR_DPM_UNSUPPORTED .*: ${what}`));
    },
  );

  it.each([
    ['a network whose output is divided by the time 0', { time_embedding_type: 'fourier' }, {}],
    ["the prediction 'epsilon' where a level is noise alone", {}, { rescale_betas_zero_snr: true }],
    ['a network of 3 channels whose output has 4', { out_channels: 4 }, {}],
    ["a learned variance behind the prediction 'v'", { out_channels: 6 }, { prediction_type: 'v_prediction' }],
  ])('%s', async (what, network, scheduler) => {
    const config = JSON.parse(await readFile(tinyNetwork, 'utf8')) as Record<string, unknown>;
    const schedule = `${newFolder()}.json`;
    await writeFile(schedule, JSON.stringify({ _class_name: 'DDPMScheduler', num_train_timesteps: 100, ...scheduler }));
    expect(await refusal({ network: { ...config, ...network }, schedule })).toMatch(
      new RegExp(`^ERR_DPM_UNSUPPORTED the network: ${what}`),
    );
  });

  it('but not x0 and v where a level is noise alone', async () => {
    const config = JSON.parse(await readFile(tinyNetwork, 'utf8')) as Record<string, unknown>;
    for (const prediction_type of ['sample', 'v_prediction']) {
      const schedule = `${newFolder()}.json`;
      const scheduler = { _class_name: 'DDPMScheduler', rescale_betas_zero_snr: true, prediction_type };
      await writeFile(schedule, JSON.stringify({ ...scheduler, num_train_timesteps: 4 }));
      await using trainer = await Trainer.open(tinyRun({ network: config, schedule, steps: 3, batch: 8 }));
      await trainer.run();
      expect(trainer.done).toBe(3);
    }
  });

  it('options that belong to nothing', async () => {
    const model = packagePath('test/fixtures/unet/ho-ddpm');
    expect(await refusal({ config: 'ddpm-cifar10' })).toContain('config is for checkpoint files');
    expect(await refusal({ network: undefined, config: 'ddpm-cifar10' })).toContain('config is for');
    expect(await refusal({ resize: true })).toContain('resize is for data that are read');
    expect(await refusal({ skipBroken: true })).toContain('skipBroken is for data that are read');
    const data = { ...tinyImages(4, [3, 32, 32]), labels: null };
    expect(await refusal({ network: 'ddpm-cifar10', schedule: tinyNetwork, data })).toContain(
      'says the noise schedule itself',
    );
    expect(await refusal({ network: model, schedule: model })).toContain('schedule');
    expect(await refusal({ network: 'ddpm-cifar10', prediction: 'v', data })).toContain('prediction: the networks of');
    const config = JSON.parse(await readFile(tinyNetwork, 'utf8')) as Record<string, unknown>;
    const edm = `${newFolder()}.json`;
    await writeFile(edm, JSON.stringify({ _class_name: 'EDMEulerScheduler', num_train_timesteps: 100 }));
    expect(await refusal({ network: config, schedule: edm, prediction: 'v' })).toContain('predict edm');
    expect(await refusal({ network: { ...config, out_channels: 6 }, snrGamma: 5 })).toContain(
      'snrGamma: the samples of a loss',
    );
    expect(await refusal({ network: { ...config, out_channels: 6 }, schedule: edm })).toContain('whose output has 6');
  });

  it('images that are none', async () => {
    const data = tinyImages();
    const odd = async (changed: object): Promise<string> => refusal({ data: { ...data, ...changed } });
    expect(await odd({ images: new Float64Array(data.images.length) })).toContain('data.images');
    expect(await odd({ shape: [12, 3, 8] })).toContain('data.shape');
    expect(await odd({ shape: [11, 3, 8, 8] })).toContain('data.shape');
    expect(await odd({ labels: new Int32Array(3) })).toContain('data.labels has 3 labels for 12 images');
    expect(await odd({ labels: new Int32Array(12).fill(-1) })).toContain('data.labels: the label -1');
    expect(await refusal({ data: 7 as never })).toContain('data');
  });

  it('work that does not fit into memory, before it begins', async () => {
    process.env.DPM_MEMORY = '0.01';
    try {
      expect(await refusal({ batch: 2048 })).toMatch(/^ERR_DPM_OUT_OF_MEMORY batches of 2048 images.*smaller batch/);
      process.env.DPM_MEMORY = '0.0001';
      expect(await refusal({})).toMatch(/^ERR_DPM_OUT_OF_MEMORY images and weights/);
    } finally {
      delete process.env.DPM_MEMORY;
    }
    await using trainer = await Trainer.open(tinyRun());
    const { images, parameters, packed, maps, checkpoints, total } = trainer.memory;
    expect(images).toBe(12 * 3 * 8 * 8);
    expect(parameters).toBe(20 * trainer.parameters);
    expect(checkpoints).toBeGreaterThanOrEqual(12 * trainer.parameters);
    expect(total).toBe(images + parameters + packed + maps + checkpoints);
    expect(Math.min(packed, maps)).toBeGreaterThan(1000);
  });
});

describe('options that are not given', () => {
  it('are the defaults of the facts, as the folder of the run tells', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open({
      data: tinyImages(),
      network: tinyNetwork,
      device: 'cpu',
      threads: 1,
      out,
    });
    const { options } = JSON.parse(await readFile(join(out, 'run.json'), 'utf8')) as { options: object };
    // The others do not change what is learned, or may change while a run lasts.
    const others = ['steps', 'seed', 'recompute', 'checkpointEvery', 'checkpointsKept', 'tensorboard'];
    // The network says itself that it is a classifier; what older runs did not know is told only where it is not the default.
    others.push('autoencoder', 'classifier', 'cropMargin', 'levelSampling');
    const { steps, seed } = trainingDefaults;
    const learned = Object.fromEntries(Object.entries(trainingDefaults).filter(([name]) => !others.includes(name)));
    expect(options).toMatchObject({ ...learned, seed: String(seed) });
    expect(Object.keys(options)).toEqual(expect.not.arrayContaining(others.slice(2)));
    expect(trainer.steps).toBe(steps);
  });
});

describe('data that are read', () => {
  it('stay levels where the data of the network are from -1 to 1', async () => {
    const trainee = await readTrainee(takenOptions(tinyRun()), takenData(tinyImages()));
    expect(nativeOptions(trainee).images).toBe(trainee.data.images);
  });

  it('have the height and the width of the network', async () => {
    const config = JSON.parse(await readFile(tinyNetwork, 'utf8')) as Record<string, unknown>;
    const network = { ...config, sample_size: [8, 16] };
    await using trainer = await Trainer.open(tinyRun({ network, data: tinyImages(4, [3, 8, 16]) }));
    expect(trainer.sampleShape).toEqual([3, 8, 16]);
    expect(await refusal({ network, data: tinyImages(4, [3, 16, 8]) })).toContain('has to be [N, 3, 8, 16]');
  });

  it('are what those in memory are', async () => {
    const path = await writeTinyImages(join(folder, 'data.safetensors'));
    const losses = [];
    for (const data of [path, new URL(`file://${path}`), tinyImages()]) {
      await using trainer = await Trainer.open(tinyRun({ data }));
      losses.push((await trainer.step()).loss);
    }
    expect(new Set(losses).size).toBe(1);
    const out = newFolder();
    const trainer = await Trainer.open(tinyRun({ data: new URL(`file://${path}`), out: new URL(`file://${out}`) }));
    await trainer.run();
    await trainer.close();
    await using again = await Trainer.open(tinyRun({ out }));
    expect(again.begun).toBe(6);
  });

  it('are, as the network is, what they were when the call was made', async () => {
    const network = JSON.parse(await readFile(tinyNetwork, 'utf8')) as Record<string, unknown>;
    const loss = async (change: (data: ReturnType<typeof tinyImages>) => void): Promise<number> => {
      const data = tinyImages();
      const own = structuredClone(network);
      const opening = Trainer.open(tinyRun({ data, network: own }));
      change(data);
      own.act_fn = 'none';
      await using trainer = await opening;
      return (await trainer.step()).loss;
    };
    const expected = await loss(() => undefined);
    expect(await loss(({ images }) => images.fill(0))).toBe(expected);
    expect(await loss(({ labels }) => labels!.fill(0))).toBe(expected);
  });

  it('are told apart by the labels that are learned', async () => {
    const data = tinyImages();
    const { images, shape } = data;
    const withoutLabels = takenData({ images, shape } as OpenedImages) as OpenedImages;
    expect(withoutLabels).toMatchObject({ labels: null, broken: 0 });
    const leftOut = await readData(takenData(data), { labels: false });
    expect(leftOut).toEqual(withoutLabels);
    expect((await readData(takenData(data), {})).fingerprint).not.toBe(withoutLabels.fingerprint);
  });

  it('tell how far they are read', async () => {
    const pictures = join(folder, 'pictures');
    await new ImageBatch(
      Float32Array.from({ length: 3 * 192 }, (_, i) => Math.sin(i)),
      [3, 3, 8, 8],
    ).save(pictures);
    const told: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void told.push([done, total]);
    await using trainer = await Trainer.open(tinyRun({ data: pictures, network: undefined, onProgress }));
    expect(told.at(-1)).toEqual([3, 3]);
    expect([trainer.images, trainer.broken, trainer.classes]).toEqual([3, 0, 0]);
  });
});
