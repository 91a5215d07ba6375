// Arguments that are hard to foresee: each is refused by an error of ours that names it.
import { MessageChannel } from 'node:worker_threads';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import * as dpm from '../../lib/index.js';

const schedule = dpm.NoiseSchedule.linear({ steps: 100 });
const model = (x: Float32Array): Float32Array => x;
const plain = (run: (context: dpm.HostContext) => Promise<unknown>) => {
  const program: dpm.HostProgram = {
    kind: 'host',
    initialScale: 1,
    head: null,
    run: async (context) => {
      await run(context);
    },
  };
  return dpm.runProgram(program, { shape: [1, 4], model, onProgress: () => undefined });
};
let loaded: dpm.DiffusionModel;
let batcher: dpm.Batcher;
beforeAll(async () => {
  loaded = await dpm.DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
  batcher = await loaded.batcher({ rows: 2 });
});
afterAll(async () => {
  await batcher.close();
  await loaded.close();
});

function detached<T extends Float32Array | Int32Array | Uint8Array>(values: T): T {
  structuredClone(values.buffer, { transfer: [values.buffer as ArrayBuffer] });
  return values;
}
function deep(): object {
  let inner: object = {};
  for (let i = 0; i < 100_000; ++i) inner = { inner };
  return inner;
}
function round(): object {
  const circle: Record<string, unknown> = {};
  circle.circle = circle;
  return circle;
}
const sparse = <T>(value: T): T[] => [, value] as T[];
const header = (entry: unknown): never =>
  ({ path: '/etc/hostname', tensors: new Map([['a', entry]]), metadata: {} }) as never;
const ddim = { sampler: 'ddim', steps: 2, count: 2 } as const;

const calls: Record<string, () => unknown> = {
  'guides that are null': () => loaded.sample({ ...ddim, guides: null as never }),
  'guides with a hole': () => loaded.sample({ ...ddim, guides: sparse(model) }),
  'no request over a port': async () => {
    const { port1, port2 } = new MessageChannel();
    dpm.exposeBatcher(batcher, port1);
    const remote = await dpm.connectBatcher(port2);
    await remote.sample(undefined as never).finally(() => {
      remote.close();
    });
  },
  'more repeats than anybody waits for': () => dpm.translate(loaded, new Float32Array(784), { repeats: 1001 }),
  'what only says that it is an array': () =>
    dpm.translate(loaded, new Float32Array(784), { mask: { [Symbol.toStringTag]: 'Float32Array' } as never }),
  'a program of a batcher with a record that is null': () =>
    batcher.run({ ...dpm.samplers.ddim(schedule, { steps: 2 }), records: [null as never] }),
  'a program of a batcher with a hole': () =>
    batcher.run({ ...dpm.samplers.ddim(schedule, { steps: 2 }), records: sparse(dpm.stepRecord({ time: 1 })) }),
  'timesteps with a hole': () => loaded.sample({ sampler: 'ddim', timesteps: sparse(5) }),
  'records with a hole': () => dpm.packRecords(dpm.stepProgram(sparse(dpm.stepRecord({ time: 1 })))),
  'a shape with a hole': () => loaded.device.tensor(sparse(2)),
  'a shape of a program with a hole': () =>
    dpm.runProgram(dpm.samplers.ddim(schedule, { steps: 2 }), { shape: sparse(4), model }),
  'what is no port': () => dpm.connectBatcher({} as never),
  'no port': () => dpm.connectBatcher(null as never),
  'no port to listen at': () => {
    dpm.exposeBatcher(batcher, {} as never);
  },
  'a bigint for an image': () => new dpm.ImageBatch(new Float32Array(8), [2, 1, 2, 2]).slice(1n as never),
  'a bigint for a range': () => dpm.lastNoiseDeviation(2, 1n as never),
  'a request that is null': () => batcher.expectedWait(null as never),
  'class labels that are gone': () => loaded.sample({ ...ddim, classLabels: detached(new Int32Array(2)) }),
  'weights of guidance that are gone': () => loaded.sample({ ...ddim, guidance: detached(new Float32Array(2)) }),
  'images that are gone': () =>
    new dpm.ImageBatch(new Float32Array(8), [2, 1, 2, 2]).slice(0).toPng({ labels: round() as never }),
  'values that are gone': () => {
    const values = new Float32Array(8);
    const images = new dpm.ImageBatch(values, [2, 1, 2, 2]);
    detached(values);
    return images.toPng();
  },
  'levels that are gone': () => {
    const levels = new Uint8Array(8);
    const images = new dpm.ImageBatch(levels, [2, 1, 2, 2]);
    detached(levels);
    return images.data;
  },
  'a tolerance that gives a bigint': () => plain((context) => context.errorNorm('x', ['x', 'x'], () => 1n as never)),
  'a bigint for progress': () =>
    plain(async (context) => {
      context.progress(1n as never, 2);
      return Promise.resolve();
    }),
  'a symbol for progress': () =>
    plain(async (context) => {
      context.progress(1, Symbol('two') as never);
      return Promise.resolve();
    }),
  'an option that goes round': () => batcher.sample({ ...ddim, clip: round() as never }),
  'an option without end': () => batcher.sample({ ...ddim, clip: deep() as never }),
  'a header of nothing': () => dpm.readFloats(header(null), 'a'),
  'a header of bigints': () => dpm.readFloats(header({ dtype: 'F32', shape: [1n], offset: 0, bytes: 4 }), 'a'),
  'a header before the file': () => dpm.readFloats(header({ dtype: 'F32', shape: [1], offset: -4, bytes: 4 }), 'a'),
  'a header of another type': () => dpm.readFloats(header({ dtype: 'F31', shape: [1], offset: 0, bytes: 4 }), 'a'),
  'a header of other sizes': () => dpm.readFloats(header({ dtype: 'F32', shape: [2], offset: 0, bytes: 4 }), 'a'),
};

describe('an odd argument', () => {
  it.each(Object.keys(calls))('is refused: %s', async (name) => {
    const answer = await Promise.resolve()
      .then(calls[name])
      .catch((error: unknown) => error);
    expect(answer).toBeInstanceOf(dpm.DpmError);
    expect((answer as dpm.DpmError).code).toBe('ERR_DPM_ARGUMENT');
  });
});

it('what a model in JavaScript throws while it is measured arrives as it is', async () => {
  const own = new RangeError('mine');
  const evaluate = (): never => {
    throw own;
  };
  await expect(dpm.createBatcher({ shape: [1, 2, 2], evaluate, schedule })).rejects.toBe(own);
});
