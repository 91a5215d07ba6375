// A batcher that other threads use over a port.
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, Worker } from 'node:worker_threads';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import {
  connectBatcher,
  exposeBatcher,
  DiffusionModel,
  type BatchEvent,
  type Batcher,
  type RemoteBatcher,
} from '../../../lib/index.js';
import type { SentEvent, SentResult } from '../../../lib/batch/messages.js';
import { failure } from '../../support/failure.js';
import { packagePath } from '../../support/temporary.js';

let model: DiffusionModel;
let batcher: Batcher;
let remote: RemoteBatcher;

async function connected(): Promise<RemoteBatcher> {
  const { port1, port2 } = new MessageChannel();
  exposeBatcher(batcher, port1);
  return connectBatcher(port2);
}

beforeAll(async () => {
  model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
  batcher = await model.batcher({ rows: 4 });
  remote = await connected();
});
afterAll(async () => {
  remote.close();
  await model.close();
});

async function idle(): Promise<void> {
  for (let i = 0; batcher.stats().unfinished > 0; ++i) {
    expect(i).toBeLessThan(500);
    await sleep(5);
  }
}

describe('a batcher at the other end of a port', () => {
  it('gives what the batcher itself gives', async () => {
    expect(remote.capacity).toEqual(batcher.capacity);
    const requests = [
      { sampler: 'ddim', steps: 5, count: 2, seed: 3 },
      { sampler: 'ddpm', steps: 6, seed: 4, format: 'uint8', snapshotEvery: 2 },
    ] as const;
    for (const request of requests) {
      const [there, here] = [await remote.sample(request), await batcher.sample(request)];
      expect(there.images.shape).toEqual(here.images.shape);
      expect(there.images.range).toEqual(here.images.range);
      expect(there.images.toUint8()).toEqual(here.images.toUint8());
      expect(there.images.data).toEqual(here.images.data);
      expect(there.snapshots.map(({ record, images }) => [record, images.toUint8()])).toEqual(
        here.snapshots.map(({ record, images }) => [record, images.toUint8()]),
      );
    }
    const x = new Float32Array(2 * 784).fill(0.5);
    expect(await remote.forward(x, [1, 50])).toEqual(await batcher.forward(x, [1, 50]));
    expect(await remote.forward(x, 7)).toEqual(await batcher.forward(x, 7));
  });

  it('keeps its thread only while it waits for an answer', async () => {
    const { port1, port2 } = new MessageChannel();
    exposeBatcher(batcher, port1);
    const other = await connectBatcher(port2);
    // Types of Node leave the method out.
    const isHeld = (): boolean => (port2 as unknown as { hasRef(): boolean }).hasRef();
    expect(isHeld()).toBe(false);
    const waiting = [1, 2].map((steps) => other.sample({ sampler: 'ddim', steps }));
    expect(isHeld()).toBe(true);
    await Promise.all(waiting);
    expect(isHeld()).toBe(false);
    other.close();
    expect(await failure(other.sample({ sampler: 'ddim', steps: 1 }))).toMatchObject({
      code: 'ERR_DPM_CLOSED',
      message: 'the port to the batcher is closed',
    });
  });

  it('tells of progress and shows states', async () => {
    const told: [number, number][] = [];
    const shown: [number, number][] = [];
    await remote.sample({
      sampler: 'ddim',
      steps: 6,
      previewEvery: 2,
      onProgress: (done, total) => told.push([done, total]),
      onPreview: (images, { record, first }) => {
        expect(images.shape).toEqual([1, 1, 28, 28]);
        shown.push([record, first]);
      },
    });
    expect(told.at(-1)).toEqual([6, 6]);
    expect(shown).toEqual([
      [2, 0],
      [4, 0],
      [6, 0],
    ]);
    const mine = new Error('mine');
    const failing = remote.sample({
      sampler: 'ddpm',
      steps: 1000,
      onProgress() {
        throw mine;
      },
    });
    await expect(failing).rejects.toBe(mine);
    await idle();
  });

  it('streams', async () => {
    const of = async (stream: AsyncIterable<BatchEvent>): Promise<string[]> => {
      const texts: string[] = [];
      for await (const event of stream) {
        if (event.type === 'progress') continue;
        texts.push(
          event.type + ('image' in event ? String(event.image.toUint8().reduce((sum, level) => sum + level, 0)) : ''),
        );
      }
      return texts;
    };
    for (const format of ['float32', 'uint8'] as const) {
      const request = { sampler: 'ddim', steps: 6, previewEvery: 3, seed: 8, format } as const;
      const events = await of(remote.stream(request));
      expect(events).toEqual(await of(batcher.stream(request)));
      expect(events).toHaveLength(5);
    }
    // Samples of one run share their memory here.
    const adaptive = { sampler: 'dpm-solver-adaptive', count: 2, seed: 8 } as const;
    expect(await of(remote.stream(adaptive))).toEqual(await of(batcher.stream(adaptive)));
    const { cancelled } = batcher.stats();
    for await (const event of remote.stream({ sampler: 'ddpm', steps: 1000 })) {
      if (event.type === 'progress') break;
    }
    await idle();
    expect(batcher.stats().cancelled).toBe(cancelled + 1);
  });

  it.each([
    ['uint8', Uint8Array],
    ['float32', Float32Array],
  ] as const)('sends images as %s', async (format, type) => {
    const { port1, port2 } = new MessageChannel();
    const sent = vi.spyOn(port1, 'postMessage');
    exposeBatcher(batcher, port1);
    const own = await connectBatcher(port2);
    for await (const event of own.stream({ sampler: 'ddim', steps: 1, format })) expect(event.type).not.toBe('preview');
    await own.sample({ sampler: 'ddim', steps: 2, format, snapshotEvery: 1 });
    own.close();
    const images = sent.mock.calls.flatMap(([answer]) => {
      const { event, result } = answer as { event?: SentEvent | null; result?: SentResult };
      const kept = result?.snapshots.map((each) => each.images) ?? [];
      return [event?.image, result?.images, ...kept].flatMap((each) => (each === undefined ? [] : [each.values]));
    });
    expect(images).toEqual(Array(4).fill(expect.any(type)));
  });

  it('passes errors with their numbers', async () => {
    const wrong = await failure(remote.sample({ sampler: 'ddim', steps: -1 }));
    expect([wrong.code, wrong.message]).toEqual([
      'ERR_DPM_ARGUMENT',
      (await failure(batcher.sample({ sampler: 'ddim', steps: -1 }))).message,
    ]);
    const late = await failure(remote.sample({ sampler: 'ddpm', steps: 1000, deadline: 1 }));
    expect([late.code, late.retryAfterMs]).toEqual(['ERR_DPM_DEADLINE', 1]);
    const streamed = await failure(remote.stream({ sampler: 'ddim', steps: -1 }).next());
    expect(streamed.code).toBe('ERR_DPM_ARGUMENT');
    const unsent = await failure(remote.sample({ sampler: 'ddim', steps: 2, gamma: () => 1 } as never));
    expect([unsent.code, unsent.message]).toEqual([
      'ERR_DPM_ARGUMENT',
      'the request holds what cannot be sent to another thread',
    ]);
  });

  it('ends what is aborted, and everything with the port', async () => {
    const controller = new AbortController();
    const aborted = failure(remote.sample({ sampler: 'ddpm', steps: 1000, signal: controller.signal }));
    const next = remote.stream({ sampler: 'ddpm', steps: 1000, signal: controller.signal });
    await next.next();
    controller.abort();
    expect((await aborted).code).toBe('ERR_DPM_ABORTED');
    expect((await failure(next.next())).code).toBe('ERR_DPM_ABORTED');
    await idle();
    const own = await connected();
    const running = failure(own.sample({ sampler: 'ddpm', steps: 1000 }));
    const stream = own.stream({ sampler: 'ddpm', steps: 1000 });
    await stream.next();
    own.close();
    own.close();
    expect((await running).code).toBe('ERR_DPM_CLOSED');
    expect((await failure(own.sample({ sampler: 'ddim', steps: 2 }))).code).toBe('ERR_DPM_CLOSED');
    await idle();
  });

  it('serves workers, whose requests end with them', async () => {
    const expected = [...(await batcher.sample({ sampler: 'ddim', steps: 4, seed: 9 })).images.toUint8()];
    const { port1, port2 } = new MessageChannel();
    exposeBatcher(batcher, port1);
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(${JSON.stringify(packagePath('dist/index.js'))}).then(async ({ connectBatcher }) => {
        const batcher = await connectBatcher(workerData);
        const { images } = await batcher.sample({ sampler: 'ddim', steps: 4, seed: 9 });
        parentPort.postMessage([...images.toUint8()]);
        await batcher.sample({ sampler: 'ddpm', steps: 1000, count: 8 });
      });`;
    const worker = new Worker(script, { eval: true, workerData: port2, transferList: [port2] });
    const levels = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    expect(levels).toEqual(expected);
    while (batcher.stats().unfinished === 0) await sleep(5);
    await worker.terminate();
    await idle();
  });
});

describe('messages that no client sends', () => {
  it.each([null, undefined, 'text', 7])('are passed over: %j', async (message) => {
    const { port1, port2 } = new MessageChannel();
    exposeBatcher(batcher, port1);
    port2.postMessage(message);
    const own = await connectBatcher(port2);
    expect(own.capacity).toEqual(batcher.capacity);
    own.close();
  });

  const long = 'x'.repeat(2 ** 20);
  it.each([
    ['a request that is a long string', { kind: 'sample', request: long, watches: {} }],
    ['a stream that is a long string', { kind: 'stream', request: long }],
    ['options that are a long string', { kind: 'forward', x: new Float32Array(784), t: 1, options: long }],
    ['watches that are none', { kind: 'sample', request: { sampler: 'ddim', steps: 1 }, watches: null }],
    ['states that are a long string', { kind: 'forward', x: long, t: 1, options: {} }],
  ])('are refused: %s', async (_, message) => {
    const { port1, port2 } = new MessageChannel();
    exposeBatcher(batcher, port1);
    const answered = new Promise((resolve) => port2.once('message', resolve));
    port2.postMessage({ id: 7, ...message });
    // The message must not name the first character as an option.
    const told = expect.stringMatching(/^(request|options|watches|x) is [^\n]{1,200}$/) as string;
    expect(await answered).toMatchObject({
      kind: 'error',
      id: 7,
      error: { code: 'ERR_DPM_ARGUMENT', message: told },
    });
    expect(batcher.stats().unfinished).toBe(0);
    port2.close();
  });
});
