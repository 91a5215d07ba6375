// Requests of a batcher while another thread makes their programs.
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import { Admission } from '../../../lib/batch/admission.js';
import { noCounts } from '../../../lib/batch/batches.js';
import { Pace } from '../../../lib/batch/pace.js';
import { Requests, type RequestParts } from '../../../lib/batch/requests.js';
import type { BatchEvaluate } from '../../../lib/run/script-network.js';
import {
  compileTask,
  createBatcher,
  NoiseSchedule,
  samplers,
  type Batcher,
  type BatcherOptions,
  type Compiled,
  type CompileTask,
} from '../../../lib/index.js';
import { failure } from '../../support/failure.js';

const schedule = NoiseSchedule.linear({ steps: 100 });

function open(options: BatcherOptions = {}): Promise<Batcher> {
  const evaluate: BatchEvaluate = (x, _, labels) => x.map((value, i) => 0.5 * value + 0.1 * (labels?.[i >> 2] ?? 0));
  return createBatcher({ shape: [1, 2, 2], schedule, evaluate, classes: 3, rows: 2, ...options });
}

/** As a thread would do it: what it gets and what it gives are copies. */
async function inThread(task: CompileTask): Promise<Compiled> {
  await sleep(1);
  return structuredClone(compileTask(structuredClone(task)));
}

const never = (): Promise<Compiled> => new Promise(() => undefined);
const long = { sampler: 'deis', steps: 60, classLabels: 1 } as const;

describe('a request whose program another thread makes', () => {
  it('gives what it gives without one, of its inputs at the call', async () => {
    const compile = vi.fn(inThread);
    await using here = await open();
    await using elsewhere = await open({ compile });
    const timesteps = Array.from({ length: 60 }, (_, i) => 99 - i);
    const noises = {
      whole: new Float32Array(60 * 8).fill(0.3),
      slices: timesteps.map((t) => new Float32Array(8).fill(t)),
    };
    for (const [round, noise] of Object.values(noises).entries()) {
      const init = Float32Array.from({ length: 8 }, (_, i) => Math.sin(i));
      const inputs = { init, noise, classLabels: [1, 2], guidance: [2, 3], timesteps: timesteps.map((t) => t - round) };
      const request = { sampler: 'ddpm', finalNoise: true, count: 2 } as const;
      const expected = await here.sample({ ...request, ...structuredClone(inputs) });
      const changing = structuredClone(inputs);
      const sampled = elsewhere.sample({ ...request, ...changing });
      for (const values of [changing.init, changing.classLabels, changing.guidance, ...[changing.noise].flat()]) {
        values.fill(0);
      }
      changing.timesteps.pop();
      expect((await sampled).images.data).toEqual(expected.images.data);
    }
    expect(compile).toHaveBeenCalledTimes(2);
  });

  it('is told of its events in order', async () => {
    await using batcher = await open({ compile: inThread });
    const kinds: string[] = [];
    for await (const event of batcher.stream({ ...long, count: 2 })) kinds.push(event.type);
    expect(kinds[0]).toBe('accepted');
    expect(kinds.filter((kind) => kind === 'image')).toHaveLength(2);
  });

  it('ends by its signal, its deadline and the batcher, and leaves nothing', async () => {
    const batcher = await open({ compile: never, maxWaitingBytes: 16 });
    const leaving = new AbortController();
    const aborted = batcher.sample({ ...long, init: new Float32Array(4), signal: leaving.signal });
    expect(batcher.stats().unfinished).toBe(1);
    leaving.abort('enough');
    expect(await failure(aborted)).toMatchObject({ code: 'ERR_DPM_ABORTED', cause: 'enough' });
    expect(await failure(batcher.sample({ ...long, deadline: 50 }))).toMatchObject({
      code: 'ERR_DPM_DEADLINE',
      message: 'the request was not done within its deadline of 50 ms',
    });
    const ended = [100, 70, 80].map((steps) => failure(batcher.sample({ sampler: 'deis', steps })));
    // Its inputs were given back with those that ended; else these would be refused for their bytes.
    const held = failure(batcher.sample({ ...long, init: new Float32Array(4) }));
    await batcher.close();
    for (const error of await Promise.all([...ended, held])) expect(error.code).toBe('ERR_DPM_CLOSED');
    expect(batcher.stats()).toMatchObject({ unfinished: 0, resident: 0, waiting: 0, backlog: 0 });
  });

  it('holds its bytes meanwhile', async () => {
    let end: (compiled: Compiled) => void = () => undefined;
    const compile = (task: CompileTask): Promise<Compiled> =>
      new Promise((resolve) => {
        end = () => {
          resolve(compileTask(task));
        };
      });
    await using batcher = await open({ compile, maxWaitingBytes: 20 });
    const request = { ...long, init: new Float32Array(4) };
    const first = batcher.sample(request);
    const noise = Array.from({ length: 60 }, () => new Float32Array(4));
    const second = await failure(batcher.sample({ ...request, sampler: 'ddpm', noise: noise.slice(0, 1) }));
    expect([second.code, batcher.stats().refused.bytes]).toEqual(['ERR_DPM_ARGUMENT', 0]);
    const third = await failure(batcher.sample(request));
    expect([third.code, batcher.stats().refused.bytes]).toEqual(['ERR_DPM_OVERLOADED', 1]);
    end({ program: null, milliseconds: 0 });
    await first;
    await batcher.sample(request);
    expect(batcher.stats().refused.bytes).toBe(1);
  });

  it('is not made for a request that is refused', async () => {
    const compile = vi.fn(inThread);
    await using batcher = await open({ compile });
    const deadline = await failure(batcher.sample({ sampler: 'deis', steps: 100, deadline: 1e-6 }));
    expect([deadline.code, compile.mock.calls.length]).toEqual(['ERR_DPM_DEADLINE', 0]);
    const wrong = await failure(batcher.sample({ sampler: 'deis', steps: 1001 }));
    const here = (() => {
      try {
        samplers.deis(schedule, { steps: 60, order: 9 });
      } catch (error) {
        return error as DpmError;
      }
      throw new Error('not refused');
    })();
    expect(wrong.code).not.toBe('ERR_DPM_INTERNAL');
    const order = await failure(batcher.sample({ ...long, order: 9 }));
    expect([order.code, order.message]).toEqual([here.code, here.message]);
  });
});

describe('the wait for a program', () => {
  function requests(coming: () => Promise<never>) {
    const events: unknown[] = [];
    const admission = Object.assign(
      new Admission({ order: 'share', stretch: 0 }, { maxWait: 1, maxWork: 1e9, maxWaitingBytes: 1 }),
      {
        requireRoom: () => events.push('room'),
        admit(terms: object) {
          events.push(terms);
          throw new DpmError('ERR_DPM_OVERLOADED', 'seen');
        },
      },
    );
    const batches = { stats: () => noCounts };
    const model = { sampleShape: [1, 1, 1] };
    const pace = new Pace([{ rows: 1, ms: 1 }], 1);
    const made = new Requests({ admission, batches, model, pace } as unknown as RequestParts);
    return { events, perform: made.perform({ find: () => ({ coming }) }, { tenant: 'a', deadline: 1000 }) };
  }

  it('counts against the deadline, and the room is looked for again', async () => {
    const now = vi.spyOn(performance, 'now').mockReturnValue(100);
    onTestFinished(() => {
      now.mockRestore();
    });
    const { events, perform } = requests(() => {
      now.mockReturnValue(350);
      return Promise.resolve(samplers.ddim(schedule, { steps: 2 }) as never);
    });
    expect(await failure(perform)).toMatchObject({ message: 'seen' });
    const terms = { tenant: 'a', weight: 1, priority: 'normal', deadline: 1000, spent: 250 };
    expect(events).toEqual(['room', 'room', terms]);
  });

  it('makes a request late that would have been in time', () => {
    const admission = new Admission({ order: 'share', stretch: 0 }, { maxWait: 1, maxWork: 1e9, maxWaitingBytes: 1 });
    const pace = new Pace([{ rows: 1, ms: 10 }], 1);
    const terms = { tenant: '', weight: 1, priority: 'normal', deadline: 100 } as const;
    const samples = [{ evaluations: 5, rows: 1 }];
    admission.requireInTime({ ...terms, spent: 50 }, samples, pace);
    expect(() => {
      admission.requireInTime({ ...terms, spent: 51 }, samples, pace);
    }).toThrow(/50 ms of its own work end after the deadline of 100 ms, of which 51 ms have passed/);
    // Its sample starts as late as the rest of the deadline allows.
    const { keys } = admission.admit({ ...terms, spent: 40 }, { samples, bytes: 0 }, pace);
    expect(keys[0]).toBe(0);
  });
});
