// The run option `constrain`: states that a function replaces after every record.
import { describe, expect, it } from 'vitest';

import { DiffusionModel } from '../../../lib/model.js';
import type { Constraint, ConstraintPlace } from '../../../lib/guidance/guide.js';
import { samplers } from '../../../lib/samplers/index.js';
import { maxDifference } from '../../support/golden.js';

const elements = 28 * 28;
const load = (): Promise<DiffusionModel> => DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
const options = { sampler: 'ddim', timesteps: [900, 600, 300], seed: 4, count: 3, batch: 2 } as const;

describe('constrain', () => {
  it('is told where the run stands', async () => {
    await using model = await load();
    const places: (ConstraintPlace & { rows: number })[] = [];
    const watch: Constraint = (x, place) => {
      places.push({ ...place, rows: x.length / elements });
      return x;
    };
    const { images } = await model.sample({ ...options, constrain: watch });
    const of = (first: number, rows: number) => [
      { record: 1, time: 900, nextTime: 600, first, rows },
      { record: 2, time: 600, nextTime: 300, first, rows },
      { record: 3, time: 300, nextTime: null, first, rows },
    ];
    expect(places).toEqual([...of(0, 2), ...of(2, 1)]);
    expect(images.data).toEqual((await model.sample(options)).images.data);
  });

  it('knows the next evaluation where records evaluate nothing', async () => {
    await using model = await load();
    const program = samplers.ddim(model.schedule, { timesteps: [900, 600] });
    const [first, last] = program.records;
    const silent = { ...program, records: [first!, { ...last!, evaluate: false }, last!] };
    const times: (number | null)[] = [];
    await model.run(silent, {
      constrain: (x, { nextTime }) => {
        times.push(nextTime);
        return x;
      },
    });
    expect(times).toEqual([600, 600, null]);
  });

  it.each(['heun', 'dpm-solver-2', 'kdpm2', 'pndm', 'plms'] as const)(
    'is asked between the steps of %s',
    async (sampler) => {
      await using model = await load();
      const own = { sampler, steps: 6, count: 1 } as const;
      const program = samplers[sampler](model.schedule, { steps: 6 });
      const expected = program.records.flatMap((record, i) => {
        const next = program.records[i + 1];
        return next?.read === 'y' ? [] : [{ record: i + 1, time: record.time, nextTime: next?.time ?? null, first: 0 }];
      });
      expect(expected.length).toBeLessThan(program.records.length);
      const places: object[] = [];
      const { images } = await model.sample({
        ...own,
        constrain: (x, place) => {
          places.push(place);
          return x;
        },
      });
      expect(places).toEqual(expected);
      expect(images.data).toEqual((await model.sample(own)).images.data);
    },
  );

  it('decides what the next record starts from, and the end', async () => {
    await using model = await load();
    const fixed = Float32Array.from({ length: 3 * elements }, (_, i) => Math.sin(i));
    const after = (record: number): Constraint => {
      return (x, place) => {
        const from = place.first * elements;
        return place.record === record ? fixed.slice(from, from + x.length) : x;
      };
    };
    const end = await model.sample({ ...options, constrain: after(3) });
    expect(end.images.data).toEqual(fixed);
    const middle = await model.sample({ ...options, constrain: after(1) });
    const rest = await model.sample({ ...options, timesteps: [600, 300], init: fixed });
    expect(maxDifference(middle.images.data, rest.images.data)).toBeLessThan(1e-5);
  });

  it('gets states of its own, and goes with guides, streams and grey levels', async () => {
    await using model = await load();
    const spoil: Constraint = async (x) => {
      const kept = x.slice();
      await Promise.resolve();
      x.fill(NaN);
      return kept;
    };
    const plain = await model.sample(options);
    expect((await model.sample({ ...options, constrain: spoil })).images.data).toEqual(plain.images.data);
    const black: Constraint = (x) => x.fill(-1);
    const guides = [(x: Float32Array) => new Float32Array(x.length)];
    const guided = await model.sample({ ...options, guides, constrain: black });
    expect(guided.images.data).toEqual(new Float32Array(3 * elements).fill(-1));
    const levels = await model.sample({ ...options, format: 'uint8', constrain: black });
    expect(levels.images.toUint8()).toEqual(new Uint8Array(3 * elements));
    const seen: number[] = [];
    const place: Constraint = (x, { first }) => {
      seen.push(first);
      return x;
    };
    for await (const { image } of model.stream({ ...options, constrain: place })) expect(image.count).toBe(1);
    expect(new Set(seen)).toEqual(new Set([0, 2]));
  });

  it('goes with previews and snapshots, which show what it has made of the states', async () => {
    await using model = await load();
    const shades = [-0.75, -0.5, -0.25, 0];
    const shown: { record: number; first: number; values: Float32Array }[] = [];
    const { snapshots } = await model.sample({
      ...options,
      batch: 2,
      snapshotEvery: 1,
      constrain: (x, { record }) => x.fill(shades[record % 4]!),
      onPreview: (images, place) => shown.push({ ...place, values: images.data }),
    });
    for (const { record, images } of snapshots) {
      expect(images.data).toEqual(new Float32Array(3 * elements).fill(shades[record % 4]!));
    }
    expect(new Set(shown.map(({ first }) => first))).toEqual(new Set([0, 2]));
    for (const { record, first, values } of shown) {
      expect(values).toEqual(new Float32Array((first === 0 ? 2 : 1) * elements).fill(shades[record % 4]!));
    }
    expect(snapshots.length).toBeGreaterThan(1);
  });

  it.each<[string, object, string]>([
    ['no function', { constrain: 3 }, 'constrain'],
    ['too few elements', { constrain: () => new Float32Array(3) }, 'constrain returned 3 elements'],
    ['nothing', { constrain: () => undefined }, 'constrain returned'],
    ['no number', { constrain: (x: Float32Array) => x.fill(NaN, 5, 6) }, 'what constrain returned is NaN at element 5'],
    ['a form of guides', { constrain: (x: Float32Array) => x, guideForm: 'score' }, 'guideForm is for guides'],
  ])('refuses %s', async (_, wrong, message) => {
    await using model = await load();
    await expect(model.sample({ ...options, ...wrong })).rejects.toThrow(message);
  });

  it('ends with the run it belongs to', async () => {
    await using model = await load();
    const controller = new AbortController();
    const never: Constraint = () => {
      controller.abort();
      return new Promise(() => undefined);
    };
    const aborted = model.sample({ ...options, constrain: never, signal: controller.signal });
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    const own = new Error('of mine');
    const fails = model.sample({
      ...options,
      constrain: () => {
        throw own;
      },
    });
    await expect(fails).rejects.toBe(own);
    const ahead = model.sample({ sampler: 'unipc', steps: 6, count: 1, constrain: (x) => x });
    await expect(ahead).rejects.toThrow('constrain does not go with samplers that never evaluate the states');
    const adaptive = model.sample({ sampler: 'dpm-solver-adaptive', count: 1, constrain: (x) => x });
    await expect(adaptive).rejects.toMatchObject({ code: 'ERR_DPM_UNSUPPORTED' });
  });
});
