// Constraints of translated images by their sources: ILVR against the authors' code, masks.
import { describe, expect, it } from 'vitest';

import { normals } from '../../../lib/engine/normals.js';
import { Classifier } from '../../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../../lib/model.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { keepParts } from '../../../lib/guidance/keep-parts.js';
import { lowPassAxis } from '../../../lib/translation/low-pass.js';
import type { TranslateOptions } from '../../../lib/translation/options.js';
import { translate } from '../../../lib/translation/translate.js';
import { maxDifference } from '../../support/golden.js';
import { largest, tensorReader } from '../../support/tensors.js';
import { packagePath } from '../../support/temporary.js';

const path = packagePath('test/fixtures/gradients/translation/ilvr.safetensors');
const golden = tensorReader(path);
/** Two RGB images of 16 x 16. */
const elements = 2 * 3 * 256;
const load = (device: string): Promise<DiffusionModel> =>
  DiffusionModel.load(packagePath('test/fixtures/unet/openai-iddpm'), { device });

/** The way of the golden run: times 800, 600, … 0, of which those above 200 are conditioned. */
async function goldenWay(): Promise<TranslateOptions> {
  const noise = {
    sources: await golden('x'),
    steps: [await golden('noise')],
    references: await golden('secondNoise'),
  };
  return { method: 'ilvr', factor: 4, start: 0.801, stride: 200, end: 0.2, noise };
}

describe.each(['reference', 'cpu'])('ILVR on %s', (device) => {
  it('is that of its authors', async () => {
    await using model = await load(device);
    const states = await golden('states');
    const { images } = await translate(model, await golden('reference'), await goldenWay());
    const last = states.slice(4 * elements);
    expect(maxDifference(images.data, last)).toBeLessThan(1e-3 * largest(last));
  });
});

describe('ILVR', () => {
  it('has the cubic low-pass', async () => {
    const own = Float32Array.from(lowPassAxis(16, 4, 'cubic').flatMap((row) => [...row]));
    expect(maxDifference(own, await golden('axis'))).toBeLessThan(1e-6);
  });

  it('draws noise of its seed, depends on every option and not on the batch', async () => {
    await using model = await load('cpu');
    const reference = await golden('reference');
    const of = async (options: TranslateOptions): Promise<Float32Array> =>
      (await translate(model, reference, { method: 'ilvr', factor: 4, stride: 200, ...options })).images.data;
    const standard = await of({});
    expect(await of({ seed: 0 })).toEqual(standard);
    expect(maxDifference(await of({ batch: 1 }), standard)).toBeLessThan(1e-4);
    for (const other of [{ seed: 1 }, { factor: 2 }, { start: 0.8 }, { end: 0.5 }] satisfies TranslateOptions[]) {
      expect(maxDifference(await of(other), standard), JSON.stringify(other)).toBeGreaterThan(1e-3);
    }
  });

  it('noises the source by other numbers at every step and for every image, of the seed', async () => {
    await using model = await load('cpu');
    const reference = await golden('reference');
    const sources = await golden('x');
    const steps = [await golden('noise')];
    const way = { method: 'ilvr', factor: 4, start: 0.801, stride: 200, seed: 9 } as const;
    const drawn = await Promise.all(
      [0, 1, 2, 3].map((record) =>
        normals(
          model.device,
          model.sampleShape,
          [0, 1].map((sampleIndex) => ({ seed: 9, sampleIndex, record, draw: 5 })),
        ),
      ),
    );
    const references = Float32Array.from(drawn.flatMap((slice) => [...slice]));
    const given = await translate(model, reference, { ...way, noise: { sources, steps, references } });
    const seeded = await translate(model, reference, { ...way, noise: { sources, steps } });
    expect(seeded.images.data).toEqual(given.images.data);
    // Noise is each image's own, drawn or given, if images are translated one after another.
    for (const noise of [
      { sources, steps },
      { sources, steps, references },
    ]) {
      const apart = await translate(model, reference, { ...way, noise, batch: 1 });
      expect(maxDifference(apart.images.data, given.images.data)).toBeLessThan(1e-4);
    }
  });

  it('leaves the last step free, whatever time it starts at', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const count = 784;
    const steps = [new Float32Array(10 * count)];
    const ends = await Promise.all(
      [0, 1].map(async (last) => {
        const references = new Float32Array(10 * count).fill(last, 9 * count);
        const noise = { sources: new Float32Array(count), steps, references };
        const options = { method: 'ilvr', stride: 100, factor: 28, noise } as const;
        return (await translate(model, new Float32Array(count).fill(1), options)).images.data;
      }),
    );
    expect(ends[0]).toEqual(ends[1]);
  });

  it('conditions no step where `end` is 1, every but the last where it is 0', async () => {
    await using model = await load('cpu');
    const reference = await golden('reference');
    const noise = { sources: await golden('x'), steps: [await golden('noise')] };
    const way = { method: 'ilvr', factor: 4, start: 0.801, stride: 200, noise } as const;
    const free = (await translate(model, reference, { ...way, end: 1 })).images.data;
    const other = (await translate(model, new Float32Array(elements), { ...way, end: 1 })).images.data;
    expect(free).toEqual(other);
    // The step from time 0 is never conditioned: its references need not be there.
    const references = (await golden('secondNoise')).slice(0, 4 * elements);
    const whole = await translate(model, reference, { ...way, end: 0, noise: { ...noise, references } });
    expect(maxDifference(whole.images.data, free)).toBeGreaterThan(1e-2);
    const short = { ...noise, references: references.slice(1) };
    await expect(translate(model, reference, { ...way, noise: short })).rejects.toThrow('noise.references');
  });
});

describe('a mask', () => {
  const digits = (): Promise<DiffusionModel> => DiffusionModel.load('mnist', { device: 'cpu' });
  const pixels = 784;
  const sources = Float32Array.from({ length: 2 * pixels }, (_, i) => Math.sin(i / 40));
  const way = { start: 0.3, stride: 50 } as const;
  const left = Float32Array.from({ length: pixels }, (_, i) => Number(i % 28 < 14));

  it('keeps the source where it is 1 and lets it go where it is 0', async () => {
    await using model = await digits();
    const { images } = await translate(model, sources, { ...way, mask: left });
    const isLeft = (i: number): boolean => i % 28 < 14;
    expect(images.data.filter((_, i) => isLeft(i))).toEqual(sources.filter((_, i) => isLeft(i)));
    expect(images.data.filter((_, i) => !isLeft(i))).not.toEqual(sources.filter((_, i) => !isLeft(i)));
    const none = await translate(model, sources, { ...way, mask: new Float32Array(pixels) });
    expect(none.images.data).toEqual((await translate(model, sources, way)).images.data);
  });

  it("conditions what it lets go, by the source at the state's own level", async () => {
    await using model = await digits();
    const seen: { x: Float32Array; nextTime: number | null }[] = [];
    const sample = model.sample.bind(model);
    model.sample = (options: Parameters<typeof sample>[0]) => {
      const { constrain } = options;
      const watched: typeof constrain = async (x, place) => {
        const kept = (await constrain?.(x, place)) ?? x;
        seen.push({ x: kept, nextTime: place.nextTime });
        return kept;
      };
      return sample({ ...options, constrain: watched });
    };
    const noise = { sources: new Float32Array(2 * pixels).fill(0.5), steps: [new Float32Array(12 * pixels)] };
    await translate(model, sources, { ...way, mask: left, noise });
    for (const { x, nextTime } of seen) {
      const { alpha, sigma } =
        nextTime === null ? { alpha: 1, sigma: 0 } : levels(model.schedule.alphaBar(nextTime + 1));
      expect(x[3]).toBeCloseTo(alpha * sources[3]! + sigma * 0.5, 5);
      expect(x[pixels + 3]).toBeCloseTo(alpha * sources[pixels + 3]! + sigma * 0.5, 5);
    }
    expect(seen).toHaveLength(6);
  });

  it('can be one for each image, of shares, and with a batch', async () => {
    await using model = await digits();
    const both = new Float32Array(2 * pixels);
    both.set(left, pixels);
    const { images } = await translate(model, sources, { ...way, mask: both, batch: 1 });
    expect(images.data.slice(pixels).filter((_, i) => left[i] === 1)).toEqual(
      sources.slice(pixels).filter((_, i) => left[i] === 1),
    );
    const first = images.data.slice(0, pixels);
    expect(maxDifference(first, (await translate(model, sources, way)).images.data.slice(0, pixels))).toBeLessThan(
      1e-4,
    );
    const half = await translate(model, sources, { ...way, mask: new Float32Array(pixels).fill(0.5) });
    const free = await translate(model, sources, way);
    expect(maxDifference(half.images.data, sources)).toBeGreaterThan(1e-2);
    expect(maxDifference(half.images.data, sources)).toBeLessThan(maxDifference(free.images.data, sources));
  });

  it('is read before anything is waited for', async () => {
    await using model = await digits();
    const own = left.slice();
    const running = translate(model, sources, { ...way, mask: own });
    own.fill(0);
    expect((await running).images.data).toEqual((await translate(model, sources, { ...way, mask: left })).images.data);
  });

  it('goes with energies, too', async () => {
    await using model = await digits();
    await using extractor = await Classifier.load('mnist-domains', { device: model.device });
    const options = { ...way, mask: left, extractor, factor: 4, lambdaS: 60, lambdaI: 4 };
    const guided = (await translate(model, sources, options)).images.data;
    expect(guided.filter((_, i) => i % 28 < 14)).toEqual(sources.filter((_, i) => i % 28 < 14));
    expect(guided).not.toEqual((await translate(model, sources, { ...way, mask: left })).images.data);
  });

  it.each<[string, Float32Array, string]>([
    ['of another size', new Float32Array(pixels + 1), 'the mask has 785 elements'],
    ['of three images', new Float32Array(3 * pixels), 'the mask has 2352 elements'],
    ['above 1', new Float32Array(pixels).fill(2), 'mask'],
    ['of no number', new Float32Array(pixels).fill(NaN), 'mask'],
  ])('%s is refused', async (_, mask, message) => {
    await using model = await digits();
    await expect(translate(model, sources, { ...way, mask })).rejects.toThrow(message);
  });
});

function levels(alphaBar: number): { alpha: number; sigma: number } {
  return { alpha: Math.sqrt(alphaBar), sigma: Math.sqrt(1 - alphaBar) };
}

it.each([
  [2, true],
  [4, true],
  [6, false],
  [12, false],
])('a mask of %i elements for two images of 3 x 1 x 2: %s', (length, fits) => {
  const model = { sampleShape: [3, 1, 2], schedule: NoiseSchedule.linear() } as unknown as DiffusionModel;
  const keep = (): unknown => keepParts(model, new Float32Array(12), new Float32Array(length));
  if (fits) expect(keep).not.toThrow();
  else expect(keep).toThrow(expect.objectContaining({ code: 'ERR_DPM_TENSOR_SHAPE' }));
});
