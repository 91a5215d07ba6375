// The same model on several engines: requests go where there is least to do.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Batcher } from '../../../lib/index.js';
import {
  connectBatcher,
  createBatcher,
  DiffusionModel,
  DpmError,
  exposeBatcher,
  ReplicatedBatcher,
  samplers,
  type BatchableModel,
  type BatcherStats,
} from '../../../lib/index.js';
import { failure } from '../../support/failure.js';
import { packagePath } from '../../support/temporary.js';

let models: DiffusionModel[];

beforeAll(async () => {
  const path = packagePath('models/mnist');
  models = await Promise.all([1, 1].map((threads) => DiffusionModel.load(path, { device: 'cpu', threads })));
});
afterAll(() => Promise.all(models.map((model) => model.close())));

const request = (seed: number) => ({ sampler: 'ddim', steps: 3, seed }) as const;

/** A model whose batcher is made up. */
function fake(batcher: Partial<Record<keyof Batcher, unknown>>): BatchableModel {
  return { sampleShape: [1, 2, 2], batcher: () => Promise.resolve(batcher as unknown as Batcher) };
}

const idle: BatcherStats = {
  steps: 1,
  rows: 2,
  paddedRows: 3,
  seconds: 4,
  resident: 5,
  waiting: 6,
  finished: 7,
  cancelled: 8,
  lastStepAt: 9,
  unfinished: 10,
  refused: { wait: 11, deadline: 12, bytes: 13 },
  backlog: 0,
  slowdown: 1,
};

const idleBatcher = { stats: () => idle };

describe('a batcher over replicas', () => {
  it('gives what one model gives, and uses all of them', async () => {
    await using batcher = await createBatcher(models, { rows: 2 });
    const seeds = [0, 1, 2, 3, 4, 5];
    // Three rows each, to the one that is done first by the speeds that were measured: one may be slower than the other.
    const [one, other] = batcher.batchers.map(({ capacity }) => capacity.rowsPerSecond);
    const rows: [number, number] = [0, 0];
    for (const _ of seeds) rows[rows[1] / other! < rows[0] / one! ? 1 : 0] += 3;
    const together = await Promise.all(seeds.map((seed) => batcher.sample(request(seed))));
    for (const seed of seeds) {
      expect(together[seed]!.images.data).toEqual((await models[0]!.sample(request(seed))).images.data);
    }
    expect(batcher.batchers.map((each) => each.stats().rows)).toEqual(rows);
    expect(batcher.stats()).toMatchObject({ rows: 18, finished: 6, unfinished: 0, backlog: 0 });
    const [first, second] = batcher.batchers.map(({ capacity }) => capacity);
    expect(batcher.capacity).toMatchObject({ rows: 4, slots: 32, curve: first!.curve });
    expect(batcher.capacity.rowsPerSecond).toBeCloseTo(first!.rowsPerSecond + second!.rowsPerSecond);
    expect(batcher.memory).toBe(2 * batcher.batchers[0]!.memory);
  });

  it('runs programs, evaluations and streams', async () => {
    await using batcher = await createBatcher(models, { rows: 2 });
    const [model] = models;
    const program = samplers.ddim(model!.schedule, { steps: 2 });
    expect((await batcher.run(program, { seed: 4 })).images.data).toEqual(
      (await model!.run(program, { seed: 4 })).images.data,
    );
    const x = new Float32Array(28 * 28).fill(0.5);
    expect(await batcher.forward(x, 7)).toEqual((await model!.unet.forward(x, 7)).out);
    const types: string[] = [];
    for await (const event of batcher.stream(request(1))) types.push(event.type);
    expect(types).toContain('image');
    expect(types.at(-1)).toBe('done');
    expect(batcher.expectedWait()).toBe(0);
    expect(batcher.requireRoom()).toBe(0);
  });

  it('can be used over a port', async () => {
    await using batcher = await createBatcher(models, { rows: 2 });
    const { port1, port2 } = new MessageChannel();
    exposeBatcher(batcher, port1);
    const remote = await connectBatcher(port2);
    expect(remote.capacity.rows).toBe(4);
    expect((await remote.sample(request(3))).images.data).toEqual((await models[0]!.sample(request(3))).images.data);
    port2.close();
  });

  it('refuses requests once it is drained or closed, and leaves the models open', async () => {
    const drained = await createBatcher(models, { rows: 1 });
    const running = drained.sample(request(1));
    await drained.drain();
    await running;
    expect(await failure(drained.sample(request(1)))).toMatchObject({ code: 'ERR_DPM_CLOSED' });
    await drained.close();
    const closed = await createBatcher(models, { rows: 1 });
    const ended = failure(closed.sample({ ...request(1), steps: 500 }));
    await closed.close();
    expect(await ended).toMatchObject({ code: 'ERR_DPM_CLOSED' });
    await models[1]!.sample(request(1));
  });

  it('opens none where one cannot be opened', async () => {
    const closes: string[] = [];
    const opens = fake({ close: () => Promise.resolve(closes.push('closed')) });
    const fails: BatchableModel = {
      sampleShape: [1, 2, 2],
      batcher: () => Promise.reject(new DpmError('ERR_DPM_OUT_OF_MEMORY', 'too much')),
    };
    expect(await failure(createBatcher([opens, fails]))).toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY' });
    expect(closes).toEqual(['closed']);
  });

  it.each<[string, readonly unknown[], RegExp]>([
    ['no models', [], /models is empty/],
    ['something else', [{}], /models\[0\] is .*, it has to be a DiffusionModel/],
    [
      'what only looks like a model',
      [{ batcher: 1, sampleShape: null }],
      /models\[0\] is .*, it has to be a DiffusionModel/,
    ],
    ['nothing', [null], /models\[0\] is .*, it has to be a DiffusionModel/],
    [
      'models of different shapes',
      [fake({}), { sampleShape: [1, 3, 2], batcher: () => Promise.reject(new Error('opened')) }],
      /models\[1\] has samples of 1x3x2, models\[0\] of 1x2x2/,
    ],
  ])('refuses %s', async (_, wrong, message) => {
    expect(await failure(createBatcher(wrong as BatchableModel[]))).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });

  it('passes its options on', async () => {
    expect(await failure(createBatcher(models, { rows: 0 }))).toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
  });
});

describe('the choice of a replica', () => {
  /** Batchers with backlogs; requests end when they are told to. */
  async function replicas(backlogs: readonly number[]) {
    const asked: number[] = [];
    const ends: (() => void)[] = [];
    const made = backlogs.map((_, i) =>
      fake({
        stats: () => ({ ...idle, backlog: backlogs[i]!, slowdown: [1, 3][i]! }),
        expectedWait: () => i,
        requireRoom: () => 10 * i,
        capacity: { rows: 1, slots: 2, rowsPerSecond: 3, curve: [{ rows: 1, ms: i }] },
        memory: 10 ** i,
        sample: () => {
          asked.push(i);
          return new Promise<void>((resolve) => ends.push(resolve));
        },
        run: () => {
          asked.push(i);
          return Promise.reject(new DpmError(i === 0 ? 'ERR_DPM_DEVICE' : 'ERR_DPM_ARGUMENT', 'no'));
        },
        stream: async function* () {
          asked.push(i);
          yield await Promise.resolve(i);
          if (i === 1) throw new DpmError('ERR_DPM_DEVICE', 'gone');
        },
      }),
    );
    const batcher = await createBatcher(made);
    return { batcher, asked, ends };
  }

  it('is that with the least to do', async () => {
    const backlogs = [5, 3, 4];
    const { batcher, asked } = await replicas(backlogs);
    void batcher.sample(request(0));
    expect(batcher.expectedWait()).toBe(1);
    expect(batcher.requireRoom()).toBe(10);
    backlogs[1] = 6;
    void batcher.sample(request(0));
    expect(asked).toEqual([1, 2]);
  });

  it('goes round where all have as much, whatever ends', async () => {
    const { batcher, asked, ends } = await replicas([0, 0, 0]);
    const requests = [0, 1, 2, 3].map((seed) => batcher.sample(request(seed)));
    expect(asked).toEqual([0, 1, 2, 0]);
    ends[1]!();
    await requests[1];
    void batcher.sample(request(4));
    expect(asked.at(-1)).toBe(1);
  });

  it('counts streams until they end or are left', async () => {
    const { batcher } = await replicas([0, 0, 0]);
    const streams = [0, 1, 2].map((seed) => batcher.stream(request(seed)));
    // Streams that are not read cause no work.
    void batcher.stream(request(3));
    expect(batcher.expectedWait()).toBe(0);
    const values = await Promise.all(streams.map(async (stream) => (await stream.next()).value as unknown));
    expect(values).toEqual([0, 1, 2]);
    await streams[2]!.return();
    expect(batcher.expectedWait()).toBe(2);
    expect(await streams[2]!.next()).toMatchObject({ done: true });
    await expect(streams[1]!.throw(new Error('enough'))).rejects.toThrow('enough');
    expect(batcher.expectedWait()).toBe(1);
    void batcher.sample(request(0));
    void batcher.sample(request(0));
    expect(await streams[0]!.next()).toMatchObject({ done: true });
    expect(batcher.expectedWait()).toBe(0);
  });

  it('passes over those whose device has failed, as long as there are others', async () => {
    const { batcher, asked } = await replicas([0, 1, 2]);
    const run = () => failure(batcher.run([]));
    expect(await run()).toMatchObject({ code: 'ERR_DPM_DEVICE' });
    // An error of the caller's is no failure.
    expect(await run()).toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    expect(await run()).toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    expect(asked).toEqual([0, 1, 1]);
    const stream = batcher.stream(request(0));
    await stream.next();
    expect(await failure(stream.next())).toMatchObject({ code: 'ERR_DPM_DEVICE' });
    expect(batcher.expectedWait()).toBe(2);
    const mixed = await createBatcher([
      fake({ ...idleBatcher, sample: () => Promise.reject(new DpmError('ERR_DPM_CLOSED', 'closed')) }),
      fake({ ...idleBatcher, sample: () => Promise.resolve('done') }),
    ]);
    await failure(mixed.sample(request(0)));
    expect(await mixed.sample(request(0))).toBe('done');
    expect(await mixed.sample(request(0))).toBe('done');
    const one = await replicas([0]);
    await failure(one.batcher.run([]));
    expect(await failure(one.batcher.run([]))).toMatchObject({ code: 'ERR_DPM_DEVICE' });
  });

  it('tells what all have done', async () => {
    const { batcher } = await replicas([3, 7]);
    expect(batcher).toBeInstanceOf(ReplicatedBatcher);
    expect(batcher.stats()).toEqual({
      steps: 2,
      rows: 4,
      paddedRows: 6,
      seconds: 8,
      resident: 10,
      waiting: 12,
      finished: 14,
      cancelled: 16,
      lastStepAt: 9,
      unfinished: 20,
      refused: { wait: 22, deadline: 24, bytes: 26 },
      backlog: 7,
      slowdown: 3,
    });
    expect(batcher.capacity).toEqual({ rows: 2, slots: 4, rowsPerSecond: 6, curve: [{ rows: 1, ms: 0 }] });
    expect(batcher.memory).toBe(11);
  });
});
