import { afterAll, describe, expect, it } from 'vitest';

import { seedWords } from '../../../lib/base/random.js';
import type { DeviceTensor } from '../../../lib/engine/device.js';
import { Device, devices } from '../../../lib/engine/device.js';
import { packedUpdate, update, type NoiseStream } from '../../../lib/engine/update.js';
import { linear, stepRecord } from '../../../lib/program/builder.js';
import { packRecord, RECORD_BYTES } from '../../../lib/program/pack.js';
import type { StepRecord } from '../../../lib/program/record.js';
import { applyUpdate, type Registers } from '../../support/interpreter.js';
import { normals } from '../../support/philox.js';
import { randomProgram } from '../../support/random-program.js';
import { Random } from '../../support/random.js';

const names = devices()
  .filter(({ usable }) => usable)
  .map(({ name }) => name);

/** Odd, so that vector loops have a remainder. */
const elements = 203;
const samples = 24;

function randomValues(random: Random, count: number): Float64Array {
  return Float64Array.from({ length: count }, () => Math.fround(random.between(-1.5, 1.5)));
}

function randomRegisters(random: Random): Registers {
  const values = (): Float64Array => randomValues(random, elements);
  return {
    x: values(),
    y: values(),
    out: values(),
    head: values(),
    guide: new Float64Array(elements),
    history: Array.from({ length: 8 }, values),
  };
}

/** The record as native code sees it: every coefficient rounded to float32. */
function rounded(record: StepRecord): StepRecord {
  return JSON.parse(JSON.stringify(record), (_key, value: unknown) =>
    typeof value === 'number' ? Math.fround(value) : value,
  ) as StepRecord;
}

async function upload(device: Device, states: readonly Float64Array[]): Promise<DeviceTensor> {
  const tensor = device.tensor([states.length, elements]);
  await tensor.write(Float32Array.from(states.flatMap((state) => [...state])));
  return tensor;
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  let scale = 1;
  let error = 0;
  for (let i = 0; i < expected.length; ++i) {
    scale = Math.max(scale, Math.abs(expected[i]!));
    error = Math.max(error, Math.abs(actual[i]! - expected[i]!));
  }
  expect(error / scale, what).toBeLessThan(1e-5);
}

describe.each(names)('the fused update on %s', (name) => {
  const device = Device.open({ device: name });
  afterAll(() => device.close());

  it.each([1, 2, 3, 4])('is the interpreter on random records, a different one per sample (%i)', async (seed) => {
    const random = new Random(seed);
    const records = Array.from({ length: samples }, (_, i) => rounded(randomProgram(1000 * seed + i, 6).records[5]!));
    const states = records.map(() => randomRegisters(random));
    const streams = records.map((_, i): NoiseStream => ({
      seed: 2 ** 40 + seed,
      sampleIndex: i,
      record: 17,
      draw: seed,
    }));
    const [x, y, out, head] = await Promise.all(
      (['x', 'y', 'out', 'head'] as const).map((register) =>
        upload(
          device,
          states.map((state) => state[register]),
        ),
      ),
    );
    const history = await Promise.all(
      Array.from({ length: 8 }, (_, slot) =>
        upload(
          device,
          states.map((state) => state.history[slot]!),
        ),
      ),
    );
    const packed = new Uint8Array(samples * RECORD_BYTES);
    records.forEach((record, i) => {
      packed.set(packRecord(record, true), i * RECORD_BYTES);
    });
    await packedUpdate(packed, { x: x!, y: y!, out: out!, head: head!, history }, streams);
    const results = {
      x: await x!.read(),
      y: await y!.read(),
      history: await Promise.all(history.map((each) => each.read())),
    };

    records.forEach((record, i) => {
      const state = states[i]!;
      const stream = { ...streams[i]!, seed: seedWords(streams[i]!.seed) };
      applyUpdate(record, state, normals(stream, elements));
      const own = (values: Float32Array): Float32Array => values.subarray(i * elements, (i + 1) * elements);
      const what = `sample ${i}: ${JSON.stringify(record)}`;
      expectClose(own(results.x), state.x, `x of ${what}`);
      expectClose(own(results.y), state.y, `y of ${what}`);
      state.history.forEach((expected, slot) => {
        expectClose(own(results.history[slot]!), expected, `m[${slot}] of ${what}`);
      });
    });
  });

  it('takes explicit noise', async () => {
    const noise = await upload(device, [randomValues(new Random(9), elements)]);
    const x = await upload(device, [randomValues(new Random(8), elements)]);
    const before = await x.read();
    await update(stepRecord({ time: 0, x: linear({ x: 0.5 }), variance: { kind: 'scalar', deviation: 2 } }), {
      x,
      noise,
    });
    const z = await noise.read();
    expectClose(
      await x.read(),
      before.map((value, i) => 0.5 * value + 2 * z[i]!),
      'x',
    );
  });

  it('draws for each sample from a stream of its own where none is given', async () => {
    const record = stepRecord({ time: 0, x: linear({}), variance: { kind: 'scalar', deviation: 1 } });
    const drawn = async (streams?: NoiseStream[]): Promise<Float32Array> => {
      using x = device.tensor([3, elements]);
      await x.write(new Float32Array(3 * elements));
      await update(record, { x }, streams);
      return await x.read();
    };
    const stream = (sampleIndex: number): NoiseStream => ({ seed: 0, sampleIndex, record: 0, draw: 0 });
    expect(await drawn()).toEqual(await drawn([0, 1, 2].map(stream)));
  });

  it('stores a state alone, too', async () => {
    using x = await upload(device, [randomValues(new Random(8), elements)]);
    using kept = device.tensor([1, elements]);
    await kept.write(new Float32Array(elements));
    const record = stepRecord({ time: 0, store: { slot: 0, input: 2, data: 0 }, x: linear({ x: 1 }) });
    await update(record, { x, history: [kept] });
    expect(await kept.read()).toEqual((await x.read()).map((value) => 2 * value));
  });

  it('reduces per sample', async () => {
    const a = await upload(
      device,
      [1, 2].map((seed) => randomValues(new Random(seed), elements)),
    );
    const b = await upload(
      device,
      [3, 4].map((seed) => randomValues(new Random(seed), elements)),
    );
    const [left, right] = [await a.read(), await b.read()];
    const sums = (term: (i: number) => number): number[] =>
      [0, 1].map((sample) =>
        Array.from({ length: elements }, (_, i) => term(sample * elements + i)).reduce((sum, each) => sum + each),
      );
    const reduce = (kind: 'sum' | 'dot' | 'sum-squares') =>
      device.engine.reduce(kind, 2, elements, a.native, kind === 'dot' ? b.native : null);
    expectClose(
      await reduce('sum'),
      sums((i) => left[i]!),
      'sum',
    );
    expectClose(
      await reduce('sum-squares'),
      sums((i) => left[i]! ** 2),
      'sum of squares',
    );
    expectClose(
      await reduce('dot'),
      sums((i) => left[i]! * right[i]!),
      'dot',
    );
  });

  it('refuses what is no record', async () => {
    const x = device.tensor([2, 3]);
    const whole = stepRecord({ time: 0 });
    for (const record of [null, 1, {}, [null, whole]]) {
      await expect(update(record as never, { x })).rejects.toThrow(/has to be a record or an array of records/);
    }
    const wrong = { ...whole, read: 'z' } as never;
    await expect(update(wrong, { x })).rejects.toThrow(/^the record: read is "z"/);
    await expect(update([whole, wrong], { x })).rejects.toThrow(/^record 1: read is "z"/);
    await expect(update([whole], { x })).rejects.toThrow(/a batch of 2 needs one record/);
  });

  it('refuses arrays of another size', async () => {
    const x = device.tensor([2, 3]);
    await expect(x.write(new Float32Array(5))).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
    expect(() => device.tensor([2, 0])).toThrow(/positive integers/);
  });

  it('refuses tensors of too many elements, and shows eight of their sizes', () => {
    const shape = [2 ** 16, 2 ** 16, 1, 1, 1, 1, 1, 3];
    expect(() => device.tensor(shape)).toThrow('shape is [65536, 65536, 1, 1, 1, 1, 1, 3]: a tensor has at most');
    expect(() => device.tensor([...shape, 1])).toThrow('shape is [65536, 65536, 1, 1, 1, 1, 1, 3, ...]: a tensor');
  });
});
