// Sampling that a classifier guides: the library's, and the command's.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { Classifier, classifierGuideFacts } from '../../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../../lib/model.js';
import { maxDifference } from '../../support/golden.js';
import { dpm } from '../../support/dpm.js';
import { packagePath } from '../../support/temporary.js';
import { tensorReader } from '../../support/tensors.js';

const fixture = packagePath('test/fixtures/gradients/guidance/adm-class.safetensors');
const golden = tensorReader(fixture);

describe('a classifier of the authors', () => {
  it('guides a network as it guides theirs', async () => {
    await using model = await DiffusionModel.load(packagePath('test/fixtures/unet/openai-adm-class'), {
      device: 'reference',
    });
    await using classifier = await Classifier.load(packagePath('test/fixtures/unet/classifier-attention'), {
      device: model.device,
    });
    const labels = await golden('labels', ['I64']);
    const states = await golden('ddpm.states');
    const { images } = await model.sample({
      sampler: 'ddpm',
      variance: 'learned',
      timesteps: [800, 600, 400, 200, 0],
      count: 2,
      init: await golden('x'),
      noise: await golden('noise'),
      classLabels: labels,
      guides: [classifier.guide({ labels, scale: 20 })],
    });
    const last = states.slice((states.length / 5) * 4);
    expect(maxDifference(images.data, last)).toBeLessThan(1e-3 * Math.max(...last.map(Math.abs)));
  });
});

describe('the bundled classifier', () => {
  let model: DiffusionModel;
  let classifier: Classifier;

  beforeAll(async () => {
    model = await DiffusionModel.load('mnist', { device: 'cpu' });
    classifier = await Classifier.load('mnist-classifier', { device: model.device });
  });
  afterAll(async () => {
    await classifier.close();
    await model.close();
  });

  /** The most probable class of every image. */
  async function classesOf(images: Float32Array): Promise<number[]> {
    const logits = await classifier.logits(images, 0);
    return Array.from({ length: logits.length / 10 }, (_, n) => {
      const own = [...logits.subarray(10 * n, 10 * n + 10)];
      return own.indexOf(Math.max(...own));
    });
  }

  it.each(['ddim', 'dpm-solver++-2m', 'analytic-ddpm'] as const)(
    'makes most digits of %s what it is told',
    async (sampler) => {
      const labels = Array.from({ length: 10 }, (_, n) => n);
      const options = { sampler, steps: 15, count: 10, batch: 7, seed: 1 } as const;
      const { images } = await model.sample({ ...options, guides: [classifier.guide({ labels, scale: 4 })] });
      const hits = (await classesOf(images.data)).filter((found, n) => found === labels[n]).length;
      expect(hits).toBeGreaterThanOrEqual(8);
      const plain = await classesOf((await model.sample(options)).images.data);
      expect(plain.filter((found, n) => found === labels[n]).length).toBeLessThan(4);
    },
  );

  it('is scaled as its facts say unless it is told otherwise', async () => {
    const options = { sampler: 'ddim', steps: 5, count: 2, seed: 1 } as const;
    const of = async (given: Parameters<Classifier['guide']>[0]): Promise<Float32Array> =>
      (await model.sample({ ...options, guides: [classifier.guide(given)] })).images.data;
    expect(await of({ labels: 3 })).toEqual(await of({ labels: [3, 3], scale: classifierGuideFacts.scale.standard }));
    expect(maxDifference(await of({ labels: 3 }), await of({ labels: 3, scale: 2 }))).toBeGreaterThan(1e-3);
  });

  it.each([
    [{ labels: '3' }, 'labels'],
    [{}, 'labels'],
    [{ labels: 3, scale: NaN }, 'scale'],
    [{ labels: 3, weight: 2 }, 'weight'],
  ])('refuses %j', (options, name) => {
    expect(() => classifier.guide(options as never)).toThrow(name);
  });

  it('refuses a class that it has not, and samples of another size', async () => {
    const options = { sampler: 'ddim', steps: 2 } as const;
    await expect(model.sample({ ...options, guides: [classifier.guide({ labels: 10 })] })).rejects.toThrow(/10/);
    await using other = await Classifier.load(packagePath('test/fixtures/unet/classifier-attention'), {
      device: 'cpu',
    });
    await expect(model.sample({ ...options, guides: [other.guide({ labels: 1 })] })).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_SHAPE',
    });
  });
});

describe('dpm sample --classifier', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'guided-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const sample = (...options: string[]) =>
    dpm('sample', 'mnist', '--device', 'cpu', '--sampler', 'ddim', '--steps', '5', '--seed', '1', ...options);

  it('draws what the library draws', async () => {
    const out = join(folder, 'threes.safetensors');
    const flags = ['--classifier', 'mnist-classifier', '--classifier-class', '3', '--classifier-scale', '2'];
    expect(await sample(...flags, '--classifier-mode', 'score', '--count', '2', '--out', out)).toMatchObject({
      code: 0,
      stderr: '',
    });
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    await using classifier = await Classifier.load('mnist-classifier', { device: model.device });
    const guides = [classifier.guide({ labels: 3, scale: 2 })];
    const { images } = await model.sample({ sampler: 'ddim', steps: 5, count: 2, seed: 1, guides });
    expect((await readFloats(await readSafetensorsHeader(out), 'images')).data).toEqual(images.data);
  });

  it('guides to the class of the network, or to another that is named', async () => {
    const networks = packagePath('test/fixtures/unet');
    await using model = await DiffusionModel.load(join(networks, 'openai-adm-class'), { device: 'cpu' });
    await using classifier = await Classifier.load(join(networks, 'classifier-attention'), { device: model.device });
    const way = ['--device', 'cpu', '--sampler', 'ddim', '--steps', '3', '--seed', '1', '--class', '4'];
    for (const [flags, labels] of [
      [[], 4],
      [['--classifier-class', '7'], 7],
    ] as const) {
      const out = join(folder, `class-${labels}.safetensors`);
      const paths = [join(networks, 'openai-adm-class'), '--classifier', join(networks, 'classifier-attention')];
      const told = await dpm('sample', ...paths, ...way, ...flags, '--classifier-scale', '3', '--out', out);
      expect(told).toMatchObject({ code: 0, stderr: '' });
      const guides = [classifier.guide({ labels, scale: 3 })];
      const { images } = await model.sample({ sampler: 'ddim', steps: 3, seed: 1, classLabels: 4, guides });
      expect((await readFloats(await readSafetensorsHeader(out), 'images')).data).toEqual(images.data);
    }
  });

  it.each([
    [['--classifier-class', '3'], '--classifier-class is for --classifier'],
    [['--classifier-scale', '3'], '--classifier-scale is for --classifier'],
    [['--classifier-mode', 'mean'], '--classifier-mode is for --classifier'],
    [['--classifier', 'mnist-classifier'], '--classifier-class is missing'],
    [
      ['--classifier', 'mnist-classifier', '--classifier-class', '3', '--classifier-mode', 'both'],
      '--classifier-mode is',
    ],
    [['--classifier', 'mnist', '--classifier-class', '3'], 'mnist'],
  ])('%j: %s', async (options, message) => {
    const told = await sample('--out', join(folder, 'none.png'), ...options);
    expect(told.code).not.toBe(0);
    expect(told.stderr).toContain(message);
  });
});
