import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { encode } from 'fast-png';
import { beforeAll, describe, expect, it } from 'vitest';

import { writeSafetensors, type HostTensor } from '../../../lib/files/tensor-data.js';
import { normals } from '../../../lib/engine/normals.js';
import { Classifier } from '../../../lib/guidance/classifier.js';
import { dpm } from '../../support/dpm.js';
import { namedNumbers } from '../../support/splitmix.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const classifier = packagePath('test/fixtures/unet/classifier-attention');
const elements = 3 * 16 * 16;
const count = 5;
const classes = 10;

interface Answer {
  images: { label?: number; top: { label: number; probability: number }[] }[];
  time: number;
  accuracy?: number;
  crossEntropy?: number;
  device: string;
}

describe('dpm classify', () => {
  const folder = temporaryFolder();
  const data = Float32Array.from(namedNumbers('images', count * elements));
  const images: HostTensor = { shape: [count, 3, 16, 16], data };
  /** Probabilities of all classes for every image. */
  let probabilities: number[][];
  /** The most probable class of each image but the last, whose label is another. */
  let labels: number[];

  async function file(name: string, tensors: Record<string, HostTensor>): Promise<string> {
    const path = join(folder, name);
    await writeSafetensors(path, new Map(Object.entries(tensors)));
    return path;
  }

  const run = (...args: string[]) => dpm('classify', classifier, '--device', 'cpu', ...args);

  async function answer(...args: string[]): Promise<Answer> {
    const { code, stdout, stderr } = await run(...args, '--json');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    return JSON.parse(stdout) as Answer;
  }

  beforeAll(async () => {
    await using loaded = await Classifier.load(classifier, { device: 'cpu' });
    const logits = await loaded.logits(data, 0);
    probabilities = Array.from({ length: count }, (_, n) => {
      const weights = [...logits.slice(n * classes, (n + 1) * classes)].map(Math.exp);
      const sum = weights.reduce((total, weight) => total + weight, 0);
      return weights.map((weight) => weight / sum);
    });
    labels = probabilities.map((each, n) => {
      const best = each.indexOf(Math.max(...each));
      return n < count - 1 ? best : (best + 1) % classes;
    });
  });

  it('names the five most probable classes of every image', async () => {
    const found = await answer('--input', await file('plain.safetensors', { images }));
    expect(found).toMatchObject({ time: 0, device: 'cpu' });
    expect(found).not.toHaveProperty('accuracy');
    expect(found.images).toHaveLength(count);
    found.images.forEach(({ top }, n) => {
      expect(top).toHaveLength(5);
      const sorted = [...probabilities[n]!].sort((a, b) => b - a);
      top.forEach(({ label, probability }, i) => {
        expect(probability).toBeCloseTo(sorted[i]!, 6);
        expect(probability).toBeCloseTo(probabilities[n]![label]!, 6);
      });
    });
  });

  it('scores them where their file has labels, whatever the batch', async () => {
    const given = { shape: [count], data: Int32Array.from(labels) };
    const input = await file('labelled.safetensors', { images, labels: given });
    const found = await answer('--input', input);
    expect(found.accuracy).toBeCloseTo((count - 1) / count, 12);
    const entropy = labels.reduce((sum, label, n) => sum - Math.log(probabilities[n]![label]!), 0) / count;
    expect(found.crossEntropy).toBeCloseTo(entropy, 6);
    expect(found.images.map(({ label }) => label)).toEqual(labels);
    expect(await answer('--input', input, '--batch', '2')).toEqual(found);
    const { stdout } = await run('--input', input);
    const [header, ...rows] = stdout.trimEnd().split('\n');
    expect(header).toMatch(/^image +label +class and probability$/);
    expect(rows).toHaveLength(count + 1);
    expect(rows.at(-1)).toMatch(/^accuracy 0\.8000, cross entropy \d+\.\d{4} of 5 images at time 0$/);
  });

  it('takes the time of the noise, and levels of 8 bits', async () => {
    const levels = {
      shape: [count, 3, 16, 16],
      data: Uint8Array.from(data, (value) => Math.round(127.5 * (value + 1))),
    };
    const input = await file('levels.safetensors', { images: levels });
    const [clean, noisy] = [await answer('--input', input), await answer('--input', input, '--time', '500')];
    expect(noisy.time).toBe(500);
    expect(noisy.images).not.toEqual(clean.images);
    clean.images.forEach(({ top }, n) => {
      for (const { label, probability } of top) expect(probability).toBeCloseTo(probabilities[n]![label]!, 1);
    });
  });

  it('is described by dpm inspect', async () => {
    const { stdout } = await dpm('inspect', classifier, '--device', 'cpu', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      family: 'openai-classifier',
      classes,
      parameters: 381_834,
      missing: [],
      unused: [],
    });
    expect(JSON.parse(stdout)).toHaveProperty('memory.host');
  });

  it('refuses what does not fit', async () => {
    const tooFew = await file('few.safetensors', { images, labels: { shape: [2], data: Int32Array.of(1, 2) } });
    const outside = await file('outside.safetensors', {
      images,
      labels: { shape: [count], data: new Int32Array(count).fill(classes) },
    });
    const small = await file('small.safetensors', { images: { shape: [1, 3, 4, 4], data: new Float32Array(48) } });
    const plain = await file('again.safetensors', { images });
    writeFileSync(join(folder, 'text.safetensors'), 'none');
    const cases: [string[], number, RegExp][] = [
      [['--input', tooFew], 1, /ERR_DPM_TENSOR_SHAPE.*2 labels for 5 images/],
      [['--input', outside], 2, /labels 10 is outside 0\.\.9/],
      [['--input', small], 1, /it has to be \[N, 3, 16, 16\]/],
      [['--input', join(folder, 'text.safetensors')], 1, /text\.safetensors/],
      [['--input', plain, '--batch', '0'], 2, /--batch is 0/],
      [['--input', plain, '--time', 'late'], 2, /--time is 'late'/],
      [[], 2, /--input is missing/],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stderr, stdout } = await run(...args);
      expect(stderr).toMatch(message);
      expect(code).toBe(expected);
      expect(stdout).toBe('');
    }
    const model = await dpm('classify', packagePath('models/mnist'), '--device', 'cpu', '--input', plain);
    expect(model.stderr).toMatch(/is a diffusion model/);
    expect((await dpm('sample', classifier, '--device', 'cpu', '--out', 'x.png')).stderr).toMatch(/dpm classify/);
  });

  it('names pictures, which have no labels', async () => {
    const pictures = join(folder, 'pictures');
    mkdirSync(pictures);
    const levels = Uint8Array.from({ length: 3 * 256 }, (_, i) => (7 * i) % 256);
    writeFileSync(join(pictures, 'one.png'), encode({ width: 16, height: 16, channels: 3, depth: 8, data: levels }));
    writeFileSync(join(pictures, 'labels'), '');
    const planes = Float32Array.from(
      { length: 768 },
      (_, i) => levels[(i % 256) * 3 + Math.floor(i / 256)]! / 127.5 - 1,
    );
    const path = await file('planes.safetensors', { images: { shape: [1, 3, 16, 16], data: planes } });
    const [told, expected] = [await answer('--input', pictures), await answer('--input', path)];
    expect(told.images).toEqual([{ ...expected.images[0]!, name: 'one.png' }]);
    const { stdout } = await run('--input', join(pictures, 'one.png'));
    expect(stdout).toMatch(/^one\.png {2}/m);
  });

  it('scores labels by noise level', async () => {
    const input = await file('levels-of-noise.safetensors', {
      images,
      labels: { shape: [count], data: Int32Array.from(labels) },
    });
    const of = async (...args: string[]) => {
      const told = await run('--input', input, '--json', ...args);
      expect(told.stderr).toBe('');
      const { levels } = JSON.parse(told.stdout) as { levels: Record<string, number>[] };
      return levels;
    };
    const levels = await of('--noise-levels', '4');
    expect(levels.map(({ n, time }) => [n, time])).toEqual([
      [250, 249],
      [500, 499],
      [750, 749],
      [1000, 999],
    ]);
    await using loaded = await Classifier.load(classifier, { device: 'cpu' });
    const { schedule, device, sampleShape } = loaded;
    const streams = Array.from({ length: count }, (_, sampleIndex) => ({ seed: 3n, sampleIndex, record: 0, draw: 0 }));
    const noise = await normals(device, sampleShape, streams);
    const level = schedule.alphaBar(500);
    const noisy = data.map((value, i) => Math.sqrt(level) * value + Math.sqrt(1 - level) * noise[i]!);
    const logits = await loaded.logits(noisy, 499);
    const entropy = labels.reduce((sum, label, n) => {
      const own = [...logits.slice(n * classes, (n + 1) * classes)].map(Math.exp);
      return sum - Math.log(own[label]! / own.reduce((total, value) => total + value, 0)) / count;
    }, 0);
    const seeded = await of('--noise-levels', '2', '--seed', '3', '--batch', '2');
    expect(seeded[0]!.n).toBe(500);
    expect(seeded[0]!.crossEntropy).toBeCloseTo(entropy, 4);
    expect(seeded[0]!.crossEntropy).not.toBeCloseTo(levels[1]!.crossEntropy!, 6);
    const table = await run('--input', input, '--noise-levels', '1');
    expect(table.stdout).toMatch(/^n +time +accuracy +cross entropy\n1000 +999 +[\d.]+ +[\d.]+\n$/);
  });

  it.each([
    [['--noise-levels', '0'], /--noise-levels is 0/],
    [['--noise-levels', '2', '--time', '5'], /exclude each other/],
    [['--seed', '2'], /--seed is for --noise-levels/],
    [['--noise-levels', '2', '--without'], /--noise-levels is for images with labels/],
  ])('refuses %j', async (args, message) => {
    const isPlain = args.includes('--without');
    const tensors = { images, ...(!isPlain && { labels: { shape: [count], data: Int32Array.from(labels) } }) };
    const input = await file(isPlain ? 'bare.safetensors' : 'given.safetensors', tensors);
    const { stderr, code } = await run('--input', input, ...args.filter((arg) => arg !== '--without'));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
