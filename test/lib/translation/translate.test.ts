// Translation against what the authors' code of EGSDE gives.
import { describe, expect, it, vi } from 'vitest';

import { standardsOf } from '../../../lib/base/option-facts.js';
import { Network } from '../../../lib/engine/network.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { Classifier } from '../../../lib/guidance/classifier.js';
import { compareImages } from '../../../lib/images/compare.js';
import { ImageBatch } from '../../../lib/images/image-batch.js';
import { DiffusionModel } from '../../../lib/model.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { LowPass, lowPassAxis } from '../../../lib/translation/low-pass.js';
import { checkedOptions, translateOptionFacts, type TranslateOptions } from '../../../lib/translation/options.js';
import { translate } from '../../../lib/translation/translate.js';
import { maxDifference } from '../../support/golden.js';
import { largest, tensorReader } from '../../support/tensors.js';
import { packagePath } from '../../support/temporary.js';

const path = packagePath('test/fixtures/gradients/translation/egsde.safetensors');
const golden = tensorReader(path);
const load = (device: string): Promise<DiffusionModel> =>
  DiffusionModel.load(packagePath('test/fixtures/unet/ho-ddpm'), {
    device,
    schedule: NoiseSchedule.linear({ steps: 32 }),
  });
const extractorOn = ({ device }: DiffusionModel): Promise<Classifier> =>
  Classifier.load(packagePath('test/fixtures/unet/classifier-attention'), { device });

/** The noise of the golden run: a slice for every step but the last. */
async function goldenNoise(elements: number): Promise<NonNullable<TranslateOptions['noise']>> {
  const steps = await golden('noise');
  return { sources: await golden('firstNoise'), steps: [steps.slice(0, steps.length - elements)] };
}

describe('the low-pass', () => {
  it('is that of EGSDE', async () => {
    const axis = await golden('axis');
    const own = Float32Array.from(lowPassAxis(16, 4, 'triangle').flatMap((row) => [...row]));
    expect(maxDifference(own, axis)).toBeLessThan(1e-6);
    const source = await golden('source');
    const low = Float32Array.from(new LowPass(16, 16, 4, 'triangle').apply(source));
    expect(maxDifference(low, await golden('lowPass'))).toBeLessThan(1e-5);
  });

  it.each([
    [6, 4, 2],
    [5, 8, 3],
    [8, 5, 3],
  ])('of %i x %i by %i has the gradient of its squared distance', (height, width, factor) => {
    const filter = new LowPass(height, width, factor, 'cubic');
    const y = Float64Array.from({ length: height * width }, (_, i) => Math.sin(i));
    const x = Float64Array.from({ length: height * width }, (_, i) => Math.cos(3 * i));
    const distance = (at: Float64Array): number => {
      const [a, b] = [filter.apply(at), filter.apply(x)];
      return a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
    };
    const gradient = filter.gradient(y, x);
    for (const i of [0, 5, 13, 23]) {
      const moved = (by: number): Float64Array => y.map((value, j) => value + (i === j ? by : 0));
      expect((distance(moved(1e-5)) - distance(moved(-1e-5))) / 2e-5).toBeCloseTo(gradient[i]!, 6);
    }
  });

  it.each(['triangle', 'cubic'] as const)('of a constant is the constant (%s)', (kernel) => {
    for (const row of lowPassAxis(12, 3, kernel)) expect(row.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
  });
});

describe('a translation of digits', () => {
  const source = Float32Array.from({ length: 784 }, (_, i) => Math.sin(i / 9));

  it('makes one step at least', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    const told: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void told.push([done, total]);
    const { images } = await translate(model, source, { start: 1e-6, onProgress });
    expect(told.at(-1)).toEqual([1, 1]);
    expect(images.data.every(Number.isFinite)).toBe(true);
  });

  it('goes on from itself where it is repeated, with other noise than that of any seed nearby', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    const options = { start: 0.1, stride: 50 } as const;
    const twice = (await translate(model, source, { ...options, seed: 5, repeats: 2 })).images.data;
    const once = (await translate(model, source, { ...options, seed: 5 })).images.data;
    const then = async (seed: bigint): Promise<Float32Array> =>
      (await translate(model, once, { ...options, seed })).images.data;
    expect(await then(5n + 0x9e3779b97f4a7c15n)).toEqual(twice);
    expect(await then(6n)).not.toEqual(twice);
  });

  it('is that of the images of the call', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    const options = { start: 0.1, stride: 50 } as const;
    const expected = await translate(model, source, options);
    const own = source.slice();
    const translating = translate(model, own, options);
    own.fill(0);
    expect((await translating).images.data).toEqual(expected.images.data);
  });

  it('takes the noise of each repeat', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    const options = { start: 0.1, stride: 50 } as const;
    const noise = (of: number, length: number): Float32Array =>
      Float32Array.from({ length }, (_, i) => Math.sin(of * (i + 1)));
    const [sources, steps] = [[3, 5].map((of) => noise(of, 784)), [7, 11].map((of) => noise(of, 2 * 784))];
    const whole = Float32Array.from(sources.flatMap((each) => [...each]));
    const both = await translate(model, source, { ...options, repeats: 2, noise: { sources: whole, steps } });
    let own: Float32Array = source;
    for (const n of [0, 1]) {
      const given = { sources: sources[n]!, steps: [steps[n]!] };
      own = (await translate(model, own, { ...options, noise: given })).images.data;
    }
    expect(both.images.data).toEqual(own);
  });
});

it('is repeated at most a thousand times', () => {
  expect(checkedOptions({ repeats: 1000 }, [1, 2, 2])).toMatchObject({ repeats: 1000 });
  expect(() => checkedOptions({ repeats: 1001 }, [1, 2, 2])).toThrow(/repeats is 1001/);
});

describe.each(['reference', 'cpu'])('translation on %s', (device) => {
  it('is that of EGSDE', async () => {
    await using model = await load(device);
    await using extractor = await extractorOn(model);
    const source = await golden('source');
    const states = await golden('states');
    const noise = await goldenNoise(source.length);
    const options = { extractor, lambdaS: 500, lambdaI: 0.02, factor: 4, start: 0.5, noise };
    const { images } = await translate(model, source, options);
    const last = states.slice(states.length - source.length);
    expect(maxDifference(images.data, last)).toBeLessThan(1e-3 * largest(last));
  });

  it('without energies is SDEdit', async () => {
    await using model = await load(device);
    await using extractor = await extractorOn(model);
    const source = await golden('source');
    const noise = await goldenNoise(source.length);
    const { images } = await translate(model, source, { start: 0.5, noise });
    const expected = await golden('sdedit');
    expect(maxDifference(images.data, expected)).toBeLessThan(1e-3 * largest(expected));
    const asked = vi.spyOn(Network.prototype, 'forward');
    const nothing = await translate(model, source, { extractor, lambdaS: 0, lambdaI: 0, start: 0.5, noise });
    expect(asked).not.toHaveBeenCalled();
    asked.mockRestore();
    expect(maxDifference(nothing.images.data, images.data)).toBeLessThan(1e-4 * largest(expected));
  });
});

describe('translate', () => {
  it('depends on seed, options and repeats, not on the batch', async () => {
    await using model = await load('cpu');
    await using extractor = await extractorOn(model);
    const source = await golden('source');
    const of = async (options: TranslateOptions): Promise<Float32Array> =>
      (await translate(model, source, { extractor, start: 0.25, factor: 4, lambdaI: 0.05, ...options })).images.data;
    const standard = await of({});
    expect(maxDifference(await of({ batch: 1 }), standard)).toBeLessThan(1e-4 * largest(standard));
    for (const other of [
      { seed: 1 },
      { lambdaS: 100 },
      { lambdaI: 0.1 },
      { factor: 2 },
      { start: 0.5 },
      { stride: 2 },
      { repeats: 2 },
      { similarity: 'negative-squared-distance', lambdaS: 1e-4 },
    ] satisfies TranslateOptions[]) {
      expect(maxDifference(await of(other), standard), JSON.stringify(other)).toBeGreaterThan(1e-4);
    }
    const progress: number[][] = [];
    await of({ repeats: 2, onProgress: (done, total) => progress.push([done, total]) });
    expect(progress.at(-1)).toEqual([32, 32]);
    expect(progress.map(([done]) => done)).toEqual([...progress.map(([done]) => done!)].sort((a, b) => a - b));
  });

  it('keeps the low frequencies of the source where these weigh much', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    await using extractor = await Classifier.load('mnist-domains', { device: model.device });
    const sources = Float32Array.from({ length: 784 }, (_, i) => Math.sin(i / 90));
    const filter = new LowPass(28, 28, 4, 'triangle');
    const kept = filter.apply(sources);
    const distance = async (lambdaI: number): Promise<number> => {
      const options = { extractor, lambdaS: 0, lambdaI, factor: 4, start: 0.15, seed: 1 };
      const { images } = await translate(model, sources, options);
      const low = filter.apply(images.data);
      return Math.sqrt(low.reduce((sum, value, i) => sum + (value - kept[i]!) ** 2, 0));
    };
    const [none, some, much] = [await distance(0), await distance(20), await distance(150)];
    expect(some).toBeLessThan(0.5 * none);
    expect(much).toBeLessThan(0.2 * none);
  });

  it('noises every repeat by numbers of its own, and starts it from the end of the one before', async () => {
    await using model = await load('cpu');
    const source = await golden('source');
    const calls: { init: Float32Array; seed: bigint; end: Float32Array }[] = [];
    const sample = model.sample.bind(model);
    model.sample = async (options: Parameters<typeof sample>[0]) => {
      const result = await sample(options);
      calls.push({ init: options.init!, seed: options.seed as bigint, end: result.images.data });
      return result;
    };
    const { images } = await translate(model, source, { start: 0.25, repeats: 3, seed: 7 });
    expect(calls.map(({ seed }) => seed === 7n)).toEqual([true, false, false]);
    expect(new Set(calls.map(({ seed }) => seed)).size).toBe(3);
    expect(images.data).toBe(calls[2]!.end);
    const level = model.schedule.alphaBar(8);
    const noises = calls.map(({ init }, repeat) => {
      const from = repeat === 0 ? source : calls[repeat - 1]!.end;
      return init.map((value, i) => (value - Math.sqrt(level) * from[i]!) / Math.sqrt(1 - level));
    });
    for (const noise of noises) {
      const variance = noise.reduce((sum, value) => sum + value * value, 0) / noise.length;
      expect(variance).toBeGreaterThan(0.9);
      expect(variance).toBeLessThan(1.1);
    }
    expect(maxDifference(noises[0]!, noises[1]!)).toBeGreaterThan(1);
    expect(maxDifference(noises[1]!, noises[2]!)).toBeGreaterThan(1);
  });

  it('begins half way, ILVR with noise alone', () => {
    const startOf = (options: TranslateOptions): number => checkedOptions(options, [1, 28, 28]).start;
    expect([startOf({}), startOf({ method: 'ilvr' }), startOf({ method: 'ilvr', start: 0.3 })]).toEqual([0.5, 1, 0.3]);
    expect(translateOptionFacts.start.otherwise).toBe('0.5, of ilvr 1');
  });

  it('has the defaults of the facts', () => {
    const checked = checkedOptions({}, [3, 256, 256]);
    const { lambdaI, similarity, end, repeats, stride, seed, batch } = checked;
    expect({ lambdaI, similarity, end, repeats, stride, seed, batch }).toEqual(standardsOf(translateOptionFacts));
    expect(translateOptionFacts.lambdaS.otherwise).toContain(` ${checked.lambdaS} for 256 x 256`);
    expect(checked.factor).toBe(256 / 8);
  });

  it.each([NaN, Infinity])('has no weight of %d', async (weight) => {
    await using model = await load('cpu');
    await using extractor = await extractorOn(model);
    for (const name of ['lambdaS', 'lambdaI']) {
      expect(() => checkedOptions({ extractor, [name]: weight }, [1, 28, 28])).toThrow(`${name} is ${weight}`);
    }
  });

  it.each<[string, object, string]>([
    ['a mask above 1', { mask: new Float32Array(256).fill(1.5) }, 'mask'],
    ['a mask below 0', { mask: new Float32Array(256).fill(-0.5) }, 'mask'],
    ['a method that is none', { method: 'cyclegan' }, 'method'],
    ['no extractor', { method: 'egsde' }, 'needs an extractor'],
    ['energies of SDEdit', { lambdaS: 3 }, 'lambdaS'],
    ['a start of nothing', { start: 0 }, 'start'],
    ['a start beyond the noise', { start: 1.5 }, 'start'],
    ['no repeats', { repeats: 0 }, 'repeats'],
    ['repeats of ILVR', { method: 'ilvr', repeats: 2 }, 'repeats is for method'],
    ['an end of SDEdit', { end: 0.1 }, "end is for method 'ilvr'"],
    ['an end of EGSDE', { method: 'egsde', end: 0.1 }, "end is for method 'ilvr'"],
    ['an end beyond the noise', { method: 'ilvr', end: 1.5 }, 'end'],
    ['an end before the image', { method: 'ilvr', end: -0.5 }, 'end'],
    ['an end of nothing', { method: 'ilvr', end: NaN }, 'end'],
    ['a factor of SDEdit', { factor: 4 }, 'factor'],
    ['a factor that leaves all', { factor: 1 }, 'factor is 1, it has to be an integer from 2'],
    ['a similarity of ILVR', { method: 'ilvr', similarity: 'cosine' }, 'similarity'],
    ['a mask of ILVR', { method: 'ilvr', mask: new Float32Array(256) }, 'mask'],
    ['noise that is none', { noise: { sources: [], steps: [] } }, 'noise.sources'],
    ['noise of too few sources', { noise: { sources: new Float32Array(5), steps: [] } }, 'noise.sources has 5'],
    [
      'references of SDEdit',
      {
        start: 0.25,
        noise: { sources: new Float32Array(1536), steps: [new Float32Array(5)], references: new Float32Array(5) },
      },
      "noise.references is for method 'ilvr'",
    ],
    ['steps that are missing', { noise: { sources: new Float32Array(1536), steps: new Array(1) } }, 'noise.steps'],
    ['a seed below 0', { seed: -1 }, 'seed is -1'],
    ['a seed of more than 64 bits', { seed: 2n ** 64n }, 'seed is 18446744073709551616'],
    ['a seed between integers', { seed: 1.5 }, 'seed is 1.5'],
    ['another option', { guidance: 3 }, 'guidance'],
  ])('refuses %s', async (_, options, message) => {
    await using model = await load('cpu');
    await expect(translate(model, await golden('source'), options as never)).rejects.toThrow(message);
  });

  it('refuses what does not fit, and weights that are no numbers', async () => {
    await using model = await load('cpu');
    await using extractor = await extractorOn(model);
    const source = await golden('source');
    const code = 'ERR_DPM_TENSOR_SHAPE';
    const broken = source.slice().fill(NaN, 7, 8);
    await expect(translate(model, broken)).rejects.toThrow('the sources are NaN at element 7');
    await expect(translate(model, source.slice(5))).rejects.toMatchObject({ code });
    await expect(translate(model, source, { extractor, lambdaI: NaN })).rejects.toThrow('lambdaI');
    await expect(translate(model, source, { extractor, similarity: 'l1' as never })).rejects.toThrow('similarity');
    await using digits = await DiffusionModel.load('mnist', { device: model.device });
    await expect(translate(digits, new Float32Array(784), { extractor })).rejects.toMatchObject({ code });
    await using flowing = await DiffusionModel.load(packagePath('test/fixtures/unet/ho-ddpm'), {
      device: model.device,
      schedule: NoiseSchedule.vp(),
    });
    await expect(translate(flowing, source)).rejects.toMatchObject({ code: 'ERR_DPM_UNSUPPORTED' });
    const controller = new AbortController();
    controller.abort();
    const signal = controller.signal;
    await expect(translate(model, source, { signal })).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });
});

describe('translation without weights', () => {
  const printed = async (count: number): Promise<Float32Array> => {
    const header = await readSafetensorsHeader(packagePath('models/mnist-domains/printed-digits.safetensors'));
    const { data } = await readFloats(header, 'images', ['U8']);
    return data.slice(0, count * 784).map((level) => level / 127.5 - 1);
  };

  it('has the published ones for the size of its images', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    await using extractor = await Classifier.load('mnist-domains', { device: model.device });
    const way = { extractor, start: 0.2, stride: 50 };
    const sources = await printed(2);
    const { images } = await translate(model, sources, way);
    const lambdaS = 500 * Math.sqrt((28 * 28) / (3 * 256 * 256));
    const given = await translate(model, sources, { ...way, lambdaS, lambdaI: 2, factor: 4 });
    expect(images.data).toEqual(given.images.data);
    const others = [{ lambdaS: 2 * lambdaS }, { lambdaI: 8 }, { factor: 8 }];
    for (const other of others) {
      expect((await translate(model, sources, { ...way, ...other })).images.data).not.toEqual(images.data);
    }
  });

  it('makes printed digits handwritten, which are like their sources still', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    await using extractor = await Classifier.load('mnist-domains', { device: model.device });
    const sources = await printed(16);
    const { images } = await translate(model, sources, { extractor, start: 0.4, stride: 20, seed: 1 });
    const logits = await extractor.logits(images.data, 0);
    const handwritten = Array.from({ length: 16 }, (_, n) => logits[2 * n + 1]! > logits[2 * n]!).filter(Boolean);
    expect(handwritten.length).toBeGreaterThan(8);
    const { ssim } = compareImages(images, new ImageBatch(sources, images.shape));
    expect(ssim.reduce((sum, value) => sum + value, 0) / 16).toBeGreaterThan(0.4);
  });
});
