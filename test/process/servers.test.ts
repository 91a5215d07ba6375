// Load of servers on the engine: terminated workers, aborted requests, models loaded and closed again and again.
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { describe, expect, it } from 'vitest';

import { DiffusionModel, DpmError } from '../../lib/index.js';

const modelFolder = fileURLToPath(new URL('../../models/mnist', import.meta.url));
const workerFile = new URL('../support/sampling-worker.mjs', import.meta.url);

/** Starts a worker that samples, and terminates it `delay` milliseconds after its first sign of progress. */
async function terminateWhileSampling(delay: number): Promise<number> {
  const worker = new Worker(workerFile, { workerData: { model: modelFolder } });
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => {
      resolve();
    });
    worker.once('error', reject);
  });
  await new Promise((resolve) => setTimeout(resolve, delay));
  return worker.terminate();
}

/** Gaps of a timer of one millisecond while `body` runs, in milliseconds. */
async function timerGaps(body: () => Promise<unknown>): Promise<number[]> {
  const gaps: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }, 1);
  try {
    await body();
  } finally {
    clearInterval(timer);
  }
  return gaps.sort((a, b) => a - b);
}

function quantile(sorted: readonly number[], p: number): number {
  return sorted[Math.floor(p * (sorted.length - 1))] ?? Number.NaN;
}

async function errorOf(promise: Promise<unknown>): Promise<DpmError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DpmError) return error;
    throw error;
  }
  throw new Error('the promise was fulfilled');
}

describe('workers', () => {
  it('are terminated in the middle of sampling 10 times', async () => {
    for (let i = 0; i < 10; ++i) expect(await terminateWhileSampling(5 * (i % 7))).toBe(1);
    const model = await DiffusionModel.load(modelFolder, { device: 'cpu' });
    const { images } = await model.sample({ count: 1, sampler: 'ddim', steps: 2 });
    expect(images.data.every(Number.isFinite)).toBe(true);
    await model.close();
  });

  it('sample side by side, each as it would alone', async () => {
    const models = await Promise.all([1, 2].map(() => DiffusionModel.load(modelFolder, { device: 'cpu', threads: 1 })));
    const results = await Promise.all(
      models.map((model) => model.sample({ count: 3, sampler: 'ddpm', steps: 5, seed: 4 })),
    );
    expect(results[0]?.images.data).toEqual(results[1]?.images.data);
    await Promise.all(models.map((model) => model.close()));
  });
});

describe('the event loop', () => {
  it('is not held up by sampling', async () => {
    const idle = await timerGaps(() => new Promise((resolve) => setTimeout(resolve, 1500)));
    const model = await DiffusionModel.load(modelFolder, { device: 'cpu', threads: 1 });
    const began = performance.now();
    const busy = await timerGaps(() => model.sample({ count: 16, sampler: 'ddpm', steps: 60 }));
    const took = performance.now() - began;
    await model.close();
    console.log(
      `timer gaps, p99: ${quantile(busy, 0.99).toFixed(1)} ms while sampling, ${quantile(idle, 0.99).toFixed(1)} ms idle`,
    );
    expect(busy.length).toBeGreaterThan(20);
    expect(quantile(busy, 0.99)).toBeLessThan(took / 10);
  });
});

describe('aborting', () => {
  it('rejects within one evaluation and leaves the engine usable', async () => {
    const model = await DiffusionModel.load(modelFolder, { device: 'cpu', threads: 1 });
    const start = performance.now();
    await model.sample({ count: 16, sampler: 'ddim', steps: 4 });
    const evaluation = (performance.now() - start) / 4;

    const controller = new AbortController();
    const reason = new Error('the client went away');
    let aborted = Number.NaN;
    const sampling = errorOf(model.sample({ count: 16, sampler: 'ddpm', steps: 500, signal: controller.signal }));
    setTimeout(() => {
      aborted = performance.now();
      controller.abort(reason);
    }, 60);
    const error = await sampling;
    expect(error.code).toBe('ERR_DPM_ABORTED');
    expect(error.cause).toBe(reason);
    // One evaluation of the 500, with room for a busy machine.
    expect(performance.now() - aborted).toBeLessThan(50 * evaluation + 500);
    const { images } = await model.sample({ count: 1, sampler: 'ddim', steps: 2 });
    expect(images.shape).toEqual([1, 1, 28, 28]);
    await model.close();
  });

  it('takes queued work off the queue at once', async () => {
    const model = await DiffusionModel.load(modelFolder, { device: 'cpu', threads: 1 });
    const running = new AbortController();
    const queued = new AbortController();
    let firstDone = false;
    const first = errorOf(model.sample({ count: 16, sampler: 'ddpm', steps: 1000, signal: running.signal })).then(
      () => (firstDone = true),
    );
    const second = errorOf(model.sample({ count: 16, sampler: 'ddpm', steps: 1000, signal: queued.signal }));
    setTimeout(() => {
      queued.abort();
    }, 20);
    expect((await second).code).toBe('ERR_DPM_ABORTED');
    expect(firstDone).toBe(false);
    running.abort();
    await first;
    await model.close();
  });

  it('refuses a signal that has fired already', async () => {
    const model = await DiffusionModel.load(modelFolder, { device: 'cpu' });
    const error = await errorOf(model.sample({ sampler: 'ddim', steps: 2, signal: AbortSignal.abort('late') }));
    expect(error.code).toBe('ERR_DPM_ABORTED');
    expect(error.cause).toBe('late');
    await model.close();
  });
});

describe('closing', () => {
  it('rejects running and queued work and can be repeated', async () => {
    const model = await DiffusionModel.load(modelFolder, { device: 'cpu' });
    const work = [1, 2].map(() => errorOf(model.sample({ count: 16, sampler: 'ddpm', steps: 500 })));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await Promise.all([model.close(), model.close()]);
    for (const error of await Promise.all(work)) expect(error.code).toBe('ERR_DPM_CLOSED');
    const late = await errorOf(model.sample({ sampler: 'ddim', steps: 2 }));
    expect(late.code).toBe('ERR_DPM_CLOSED');
    await model.close();
  });

  it('gives the memory back', async () => {
    const collect = globalThis.gc;
    if (collect === undefined) throw new Error('the tests have to run with --expose-gc');
    const cycle = async (): Promise<void> => {
      const model = await DiffusionModel.load(modelFolder, { device: 'cpu', threads: 2 });
      await model.sample({ count: 2, sampler: 'ddim', steps: 2 });
      await model.close();
    };
    /** Resident memory with what JavaScript uses of its heap in place of what V8 has reserved for it. */
    const resident = async (): Promise<number> => {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
      await new Promise((resolve) => setTimeout(resolve, 20));
      collect();
      const { rss, heapTotal, heapUsed } = process.memoryUsage();
      return rss - heapTotal + heapUsed;
    };
    const points: [cycles: number, bytes: number][] = [];
    for (let cycles = 0; cycles < 400; cycles += 40) {
      for (let i = 0; i < 40; ++i) await cycle();
      points.push([cycles, await resident()]);
    }
    // The C library keeps and returns megabytes by chance: the median of the slopes between any two points hardly moves with them.
    const slopes = points
      .slice(2)
      .flatMap(([at, bytes], i, all) => all.slice(i + 1).map(([later, more]) => (more - bytes) / (later - at)));
    const growth = slopes.sort((a, b) => a - b)[Math.floor(slopes.length / 2)]!;
    console.log(`memory: ${(growth / 1024).toFixed(1)} KiB a cycle`);
    expect(growth).toBeLessThan(50_000);
  });
});
