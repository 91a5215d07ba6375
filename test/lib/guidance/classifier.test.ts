// Classifiers against what another engine makes of the same weights in float64, and against differences.
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { Classifier, logSoftmax } from '../../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../../lib/model.js';
import { namedNumbers } from '../../support/splitmix.js';
import { maxDifference } from '../../support/golden.js';
import { writeModel } from '../../support/golden-network.js';
import { largest, readTensors } from '../../support/tensors.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = packagePath('test/fixtures/unet/classifier-attention');
const mnist = packagePath('models/mnist');
const elements = 3 * 16 * 16;
const classes = 10;

const states = (batch: number): Float32Array => Float32Array.from(namedNumbers('states', batch * elements));

/** log p(label), in float64. */
function logProbability(logits: Float32Array, label: number): number {
  const most = Math.max(...logits);
  return logits[label]! - most - Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

const devices = [
  { device: 'reference', exact: false },
  { device: 'cpu', exact: false },
  { device: 'cpu', exact: true },
];

it.each([[[1, -2, 0.5]], [[1000, 998, -1000]], [[-5, -5]]])('the probabilities of logits %j add up to 1', (logits) => {
  const logarithms = logSoftmax(logits);
  expect(logarithms.reduce((sum, each) => sum + Math.exp(each), 0)).toBeCloseTo(1, 12);
  logarithms.forEach((each, i) => {
    expect(each - logarithms[0]!).toBeCloseTo(logits[i]! - logits[0]!, 9);
  });
});

describe.each(devices)('a classifier on $device, exact $exact', (options) => {
  it('has the logits of another engine', async () => {
    const { x, t } = await readTensors(join(folder, 'input.safetensors'));
    const { out } = await readTensors(join(folder, 'expected.safetensors'));
    await using classifier = await Classifier.load(folder, options);
    const logits = await classifier.logits(x!, t!);
    expect(logits).toHaveLength(2 * classes);
    expect(maxDifference(logits, out!)).toBeLessThan(5e-5 * largest(out!));
  });

  it('takes the states of its gradients as they are at the call', async () => {
    await using first = await Classifier.load(folder, options);
    const wanted = await first.gradient(states(1), 17, 3);
    // The derivative is loaded at the first call.
    await using classifier = await Classifier.load(folder, options);
    for (let call = 0; call < 2; ++call) {
      const x = states(1);
      const gradient = classifier.gradient(x, 17, 3);
      x.fill(NaN);
      expect(await gradient).toEqual(wanted);
    }
  });

  it.each([17, 803])('has its gradients, at time %d', async (t) => {
    const golden = await readTensors(packagePath('test/fixtures/gradients/guidance/adm-class.safetensors'));
    const [logits, gradient] = [golden[`logits.${t}`]!, golden[`gradient.${t}`]!];
    await using classifier = await Classifier.load(folder, options);
    expect(maxDifference(await classifier.logits(golden.x!, t), logits)).toBeLessThan(5e-5 * largest(logits));
    const found = await classifier.gradient(golden.x!, t, golden.labels!);
    // Rounding errors remain in differences of logits; those of bfloat16 terms are larger.
    const tolerance = options.device === 'cpu' && !options.exact ? 1e-4 : 5e-5;
    expect(maxDifference(found, gradient)).toBeLessThan(tolerance * largest(gradient));
  });

  it('has the gradients of differences of its logits', async () => {
    await using classifier = await Classifier.load(folder, options);
    const [x, labels, t] = [states(2), [3, 7], [17, 803]];
    const gradient = await classifier.gradient(x, t, labels);
    const direction = Float32Array.from(namedNumbers('direction', x.length));
    const step = options.device === 'reference' ? 1e-3 : 1e-2;
    const moved = async (by: number): Promise<number[]> => {
      const logits = await classifier.logits(
        x.map((value, i) => value + by * direction[i]!),
        t,
      );
      return labels.map((label, n) => logProbability(logits.slice(n * classes, (n + 1) * classes), label));
    };
    const [after, before] = [await moved(step), await moved(-step)];
    for (const n of [0, 1]) {
      const expected = (after[n]! - before[n]!) / (2 * step);
      const own = gradient.slice(n * elements, (n + 1) * elements);
      const found = own.reduce((sum, each, i) => sum + each * direction[n * elements + i]!, 0);
      expect(Math.abs(found - expected)).toBeLessThan(1e-2 * Math.max(1, Math.abs(expected)));
    }
  });
});

describe('a classifier', () => {
  let classifier: Classifier;
  let work: string;

  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), 'classifier-'));
    classifier = await Classifier.load(folder, { device: 'cpu', threads: 1 });
  });
  afterAll(async () => {
    await classifier.close();
    await rm(work, { recursive: true });
  });

  it('says what it takes', () => {
    expect(classifier).toMatchObject({ classes, sampleShape: [3, 16, 16], range: [-1, 1] });
  });

  it('gives the same bits on any number of threads, and of an image whatever its batch', async () => {
    const x = states(3);
    const [logits, gradient] = [await classifier.logits(x, 500), await classifier.gradient(x, 500, [1, 2, 3])];
    for (const threads of [2, 3, 7]) {
      await using other = await Classifier.load(folder, { device: 'cpu', threads });
      expect(await other.logits(x, 500)).toEqual(logits);
      expect(await other.gradient(x, 500, [1, 2, 3])).toEqual(gradient);
    }
    const alone = x.slice(elements, 2 * elements);
    expect(await classifier.logits(alone, [500])).toEqual(logits.slice(classes, 2 * classes));
    expect(await classifier.gradient(alone, 500, 2)).toEqual(gradient.slice(elements, 2 * elements));
  });

  it('takes one label for all images', async () => {
    const x = states(2);
    expect(await classifier.gradient(x, 5, 4)).toEqual(await classifier.gradient(x, 5, Int32Array.of(4, 4)));
  });

  it('has gradients that vanish in the mean over its classes', async () => {
    const x = states(1);
    const logits = await classifier.logits(x, 300);
    const sum = new Float32Array(elements);
    let most = 0;
    for (let label = 0; label < classes; ++label) {
      const probability = Math.exp(logProbability(logits, label));
      const gradient = await classifier.gradient(x, 300, label);
      most = Math.max(most, largest(gradient));
      gradient.forEach((each, i) => (sum[i]! += probability * each));
    }
    expect(largest(sum)).toBeLessThan(1e-5 * most);
  });

  it('is a checkpoint file with its configuration, on a device that is open', async () => {
    const file = join(folder, 'model.safetensors');
    const other = await Classifier.load(file, { config: join(folder, 'config.json'), device: classifier.device });
    expect(other.device).toBe(classifier.device);
    expect(await other.logits(states(1), 9)).toEqual(await classifier.logits(states(1), 9));
    await other.close();
    await other.close();
    expect(await classifier.logits(states(1), 9)).toHaveLength(classes);
  });

  it('gives back all that it takes on a device that is open, once it is closed', async () => {
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const before = device.memory().host;
    const other = await Classifier.load(folder, { device });
    await other.features();
    await other.gradient(states(1), 9, 3);
    expect(device.memory().host).toBeGreaterThan(before);
    await other.close();
    expect(device.memory().host).toBe(before);
    await expect(other.features()).rejects.toMatchObject({ code: 'ERR_DPM_CLOSED' });
    expect(device.memory().host).toBe(before);
  });

  it('reads its features again where they could not be read', async () => {
    const place = join(work, 'moved');
    await cp(folder, place, { recursive: true });
    await using other = await Classifier.load(place, { device: 'cpu', threads: 1 });
    const weights = join(place, 'model.safetensors');
    await rename(weights, join(place, 'elsewhere'));
    await expect(other.features()).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await rename(join(place, 'elsewhere'), weights);
    await expect(other.features()).resolves.toBe(await other.features());
  });

  it('is not loaded where the signal has aborted', async () => {
    const attempt = Classifier.load(folder, { device: classifier.device, signal: AbortSignal.abort() });
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });

  it('guides samples by labels of their own, one for each', async () => {
    const labels = [1, 2];
    const guide = classifier.guide({ labels, scale: 3 });
    labels.fill(0);
    const x = states(2);
    const expected = (await classifier.gradient(x, 9, [1, 2])).map((value) => 3 * value);
    expect(await guide(x, Float32Array.of(9, 9), 0)).toEqual(expected);
    const second = x.slice(elements);
    expect(await guide(second, Float32Array.of(9), 1)).toEqual(expected.slice(elements));
    await expect(guide(second, Float32Array.of(9), 2)).rejects.toThrow(
      'the labels of a guide are 2, there are 3 samples',
    );
  });

  it('pools by the mean as well', async () => {
    const config = {
      family: 'openai-classifier',
      image_size: 8,
      in_channels: 3,
      model_channels: 32,
      out_channels: 4,
      num_res_blocks: 1,
      attention_resolutions: [2],
      channel_mult: [1, 2],
      pool: 'adaptive',
    };
    await writeModel(work, config);
    const x = Float32Array.from(namedNumbers('small', 2 * 3 * 64));
    const unsaid = Classifier.load(join(work, 'model.safetensors'));
    await expect(unsaid).rejects.toThrow(/look like openai-classifier's/);
    await using reference = await Classifier.load(work, { device: 'reference' });
    const expected = await reference.logits(x, 11);
    expect(expected).toHaveLength(8);
    for (const exact of [false, true]) {
      await using found = await Classifier.load(work, { device: 'cpu', exact });
      expect(maxDifference(await found.logits(x, 11), expected)).toBeLessThan(5e-5 * largest(expected));
      const gradient = await reference.gradient(x, 11, [0, 3]);
      expect(maxDifference(await found.gradient(x, 11, [0, 3]), gradient)).toBeLessThan(5e-5 * largest(gradient));
    }
  });

  it.each([
    ['attention', true],
    ['adaptive', false],
  ])('has gradients of maps of 2 x 2 as exactly as is asked for: %s', async (pool, shifts) => {
    const place = temporaryFolder();
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
    const smaller = { channel_mult: [1, 2, 3, 4], num_res_blocks: 2, use_scale_shift_norm: shifts, pool };
    await writeModel(place, { ...config, ...smaller });
    const gradientOf = async (device: string, exact: boolean): Promise<Float32Array> => {
      await using classifier = await Classifier.load(place, { device, exact });
      return await classifier.gradient(states(2), [17, 803], [3, 7]);
    };
    const expected = await gradientOf('reference', true);
    const scale = largest(expected);
    // A norm of four pixels divides by small deviations: PyTorch's float32 is off by 3e-5 of the largest.
    expect(maxDifference(await gradientOf('cpu', true), expected)).toBeLessThan(1e-5 * scale);
    expect(maxDifference(await gradientOf('cpu', false), expected)).toBeLessThan(1e-4 * scale);
  });

  it.each([
    ['a label that is no class', [3, 10], 'ERR_DPM_ARGUMENT', /a class label is 10, .* from 0 to 9/],
    ['a negative label', -1, 'ERR_DPM_ARGUMENT', /a class label is -1/],
    ['labels for other images', [1, 2, 3], 'ERR_DPM_ARGUMENT', /3 labels for 2 samples/],
    ['labels that are none', 'ab', 'ERR_DPM_ARGUMENT', /labels is .ab./],
    ['no labels', null, 'ERR_DPM_ARGUMENT', /labels is null/],
  ])('refuses %s', async (_, labels, code, message) => {
    const refused = classifier.gradient(states(2), 1, labels as never);
    await expect(refused).rejects.toMatchObject({ code });
    await expect(refused).rejects.toThrow(message);
  });

  it('refuses images of another size, and what is no array', async () => {
    for (const call of [
      (x: Float32Array) => classifier.logits(x, 1),
      (x: Float32Array) => classifier.gradient(x, 1, 1),
    ]) {
      await expect(call(new Float32Array(elements + 1))).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
      await expect(call([1] as never)).rejects.toThrow(/x is .*Float32Array/);
    }
    using tensor = classifier.device.tensor([1, 3, 16, 16]);
    await expect(classifier.logits(tensor as never, 1)).rejects.toThrow(/x is .*Float32Array/);
    await expect(classifier.logits(states(2), [1, 2, 3])).rejects.toThrow(/3 times for 2 samples/);
  });

  it('is no diffusion model, and the other way round', async () => {
    const asModel = DiffusionModel.load(folder, { device: classifier.device });
    await expect(asModel).rejects.toThrow(/is a classifier \(openai-classifier\).*Classifier\.load/);
    const asClassifier = Classifier.load(mnist, { device: 'cpu' });
    await expect(asClassifier).rejects.toThrow(/is a diffusion model .*DiffusionModel\.load/);
    await expect(asClassifier).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
  });

  it('is refused for files of something else', async () => {
    const file = join(mnist, 'unet', 'diffusion_pytorch_model.safetensors');
    const wrong = Classifier.load(file, { config: join(folder, 'config.json') });
    await expect(wrong).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_MISSING' });
    const unsaid = Classifier.load(join(folder, 'model.safetensors'));
    await expect(unsaid).rejects.toThrow(/look like openai-classifier's.*classifier-imagenet64/s);
    await expect(Classifier.load(folder, { head: 'npr' } as never)).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    const settings = { device: classifier.device, threads: 2 };
    await expect(Classifier.load(folder, settings)).rejects.toThrow(
      /threads is for a device that the classifier opens/,
    );
  });

  it.each([
    [{ pool: 'spatial' }, 'ERR_DPM_UNSUPPORTED', /no public weights/],
    [{ pool: 'spatial_v2' }, 'ERR_DPM_UNSUPPORTED', /no public weights/],
    [{ pool: 'max' }, 'ERR_DPM_UNSUPPORTED', /pool/],
    [{ num_head_channels: -1 }, 'ERR_DPM_CONFIG', /num_head_channels/],
    [{ num_head_channels: 48 }, 'ERR_DPM_CONFIG', /64 channels, not divisible into/],
    [{ num_classes: 10 }, 'ERR_DPM_UNSUPPORTED', /num_classes/],
    [{ out_channels: undefined }, 'ERR_DPM_CONFIG', /out_channels/],
  ])('is refused for the configuration %j', async (fields, code, message) => {
    const place = join(work, 'refused');
    await cp(folder, place, { recursive: true });
    const { default: config } = (await import(join(folder, 'config.json'), { with: { type: 'json' } })) as {
      default: object;
    };
    await writeFile(join(place, 'config.json'), JSON.stringify({ ...config, ...fields }));
    const refused = Classifier.load(place, { device: 'cpu' });
    await expect(refused).rejects.toMatchObject({ code });
    await expect(refused).rejects.toThrow(message);
  });
});
