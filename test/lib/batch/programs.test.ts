// Programs that another thread makes: how many, in whose turn, who pays, and who may leave.
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import { Admission } from '../../../lib/batch/admission.js';
import type { Asker } from '../../../lib/batch/compile-queue.js';
import { Pace } from '../../../lib/batch/pace.js';
import { ProgramCache } from '../../../lib/batch/program-cache.js';
import { Programs } from '../../../lib/batch/programs.js';
import { linear, stepProgram, stepRecord } from '../../../lib/program/builder.js';
import type { Program } from '../../../lib/program/program.js';
import type { Compiled, CompileTask } from '../../../lib/samplers/compile.js';
import { failure } from '../../support/failure.js';

const pace = new Pace([{ rows: 1, ms: 1 }], 1);
const limits = { maxWait: 1e9, maxWork: 1e9, maxWaitingBytes: 1e9 };
const programOf = (time: number): Program => stepProgram([stepRecord({ time, x: linear({ out: 1 }) })]);

interface Running {
  task: CompileTask;
  end(milliseconds: number, made?: Partial<Compiled>): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** Lets promises settle. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function asked(tenant = 'a', rest: Partial<Asker> = {}): Asker {
  return { tenant, weight: 1, priority: 'normal', ...rest };
}

function opened() {
  const admission = new Admission({ order: 'share', stretch: 0 }, limits);
  const running: Running[] = [];
  const here: object[] = [];
  const elsewhere = (task: CompileTask): Promise<Compiled> =>
    new Promise((resolve, reject) => {
      running.push({
        task,
        end(milliseconds, made = { program: programOf(Number(task.options.steps)) as Compiled['program'] }) {
          resolve({ program: null, milliseconds, ...made });
          return settled();
        },
        fail(error) {
          reject(error);
          return settled();
        },
      });
    });
  const clock = { time: 0 };
  const compiler = {
    compile(_: string, options: object) {
      here.push(options);
      clock.time += 7;
      return programOf(1);
    },
    task: (sampler: 'ddim', options: object) => ({ schedule: [], gamma: null, sampler, options: { ...options } }),
  };
  const programs = new Programs(compiler, { cache: new ProgramCache(), admission }, elsewhere, () => clock.time);
  const get = (steps: number, asker = asked(), signal = new AbortController().signal): Promise<Program> => {
    const found = programs.find('ddim', { steps }, asker);
    if ('made' in found) return Promise.resolve(found.made);
    const coming = found.coming(signal);
    coming.catch(() => undefined);
    return coming;
  };
  // The clock of a batch at rest forgets what tenants had.
  const busy = admission.admit({ ...asked('busy'), deadline: undefined }, demand(1), pace);
  const order = () => running.map(({ task }) => task.options.steps);
  return { admission, programs, running, here, get, busy, order };
}

function demand(evaluations: number) {
  return { samples: [{ evaluations, rows: 1 }], bytes: 0 };
}

describe('a long program', () => {
  it('is made once for all who want it meanwhile, and kept', async () => {
    const { get, running, programs } = opened();
    const both = [get(100), get(100, asked('b'))];
    expect(running).toHaveLength(1);
    const other = get(101);
    await running[0]!.end(5);
    expect((await both[0])!).toBe(await both[1]);
    expect(await get(100)).toBe(await both[0]);
    expect(running).toHaveLength(2);
    await running[1]!.end(5);
    expect(await other).not.toBe(await both[0]);
    expect(programs.unfinished).toBe(0);
  });

  it('is made here where it is quick, or a program of functions', async () => {
    const { get, running, here } = opened();
    await get(50);
    expect([running.length, here]).toEqual([0, [{ steps: 50 }]]);
    const host = get(100);
    await running[0]!.end(5, {});
    await host;
    expect(here).toEqual([{ steps: 50 }, { steps: 100 }]);
    await get(100);
    expect([running.length, here.length]).toEqual([1, 2]);
    const searched = get(101);
    await running[1]!.end(5, { options: { timesteps: [1] } });
    await searched;
    expect(here[2]).toEqual({ timesteps: [1] });
  });

  it('is refused to all who want it, and asked for again', async () => {
    const { get, running, here } = opened();
    const both = [get(100), get(100)];
    await running[0]!.end(5, { refused: { code: 'ERR_DPM_ARGUMENT', message: 'steps is wrong' } });
    const errors = await Promise.all(both.map(failure));
    for (const error of errors) {
      expect(error).toBeInstanceOf(DpmError);
      expect([error.code, error.message]).toEqual(['ERR_DPM_ARGUMENT', 'steps is wrong']);
    }
    const again = get(100);
    expect(running).toHaveLength(2);
    await running[1]!.fail(new DpmError('ERR_DPM_INTERNAL', 'the thread has ended'));
    expect(await failure(again)).toMatchObject({ code: 'ERR_DPM_INTERNAL', message: 'the thread has ended' });
    void get(100);
    expect([running.length, here.length]).toEqual([3, 0]);
  });

  it.each([undefined, null, {}, { milliseconds: NaN }, { milliseconds: Infinity }, { milliseconds: -1 }])(
    'is none where the function answers %j',
    async (answer) => {
      const admission = new Admission({ order: 'share', stretch: 0 }, limits);
      const compiler = { compile: () => programOf(1), task: () => ({}) };
      const parts = { cache: new ProgramCache(), admission };
      const programs = new Programs(compiler as never, parts, () => Promise.resolve(answer as never));
      const found = programs.find('ddim', { steps: 100 }, asked());
      if ('made' in found) throw new Error('made here');
      expect(await failure(found.coming(new AbortController().signal))).toMatchObject({
        code: 'ERR_DPM_ARGUMENT',
        message: expect.stringContaining('compileTask') as string,
      });
      expect([programs.unfinished, admission.clock.start('a')]).toEqual([0, 0]);
    },
  );
});

describe('the time that programs take', () => {
  it('is charged to who has asked first, by weight, made or refused', async () => {
    const { get, running, admission } = opened();
    void get(100, asked('a', { weight: 2 }));
    void get(100, asked('b'));
    await running[0]!.end(40);
    expect([admission.clock.start('a'), admission.clock.start('b')]).toEqual([20, 0]);
    void get(101, asked('b'));
    await running[1]!.end(30, { refused: { code: 'ERR_DPM_ARGUMENT', message: 'wrong' } });
    expect(admission.clock.start('b')).toBe(30);
    // What is known costs nothing; what is made here does.
    await get(100, asked('b'));
    expect(admission.clock.start('b')).toBe(30);
    await get(10, asked('b'));
    expect(admission.clock.start('b')).toBe(37);
  });

  it('leaves less of the device to a tenant that always sends new ones', async () => {
    const { get, running, admission } = opened();
    const keys: [tenant: string, key: number][] = [];
    for (let round = 0; round < 10; ++round) {
      void get(100 + round, asked('new'));
      await running.at(-1)!.end(90);
      void get(10, asked('known'));
      for (const tenant of ['new', 'known']) {
        const { keys: own } = admission.admit({ ...asked(tenant), deadline: undefined }, demand(10), pace);
        keys.push([tenant, own[0]!]);
      }
    }
    keys.sort(([, a], [, b]) => a - b);
    const first = keys.slice(0, 10).filter(([tenant]) => tenant === 'known');
    // Without the charge both would have five.
    expect(first.length).toBeGreaterThanOrEqual(9);
  });
});

describe('programs that wait', () => {
  it('are made one at a time, in turns of tenants, those of a higher priority first', async () => {
    const { get, running, order, programs } = opened();
    for (const steps of [100, 101, 102]) void get(steps);
    void get(200, asked('b'));
    void get(300, asked('c', { priority: 'high' }));
    expect([order(), programs.unfinished]).toEqual([[100], 5]);
    for (let i = 0; i < 5; ++i) await running[i]!.end(10);
    expect([order(), programs.unfinished]).toEqual([[100, 300, 200, 101, 102], 0]);
  });

  it('are of the highest priority of those who want them', async () => {
    const { get, running, order } = opened();
    for (const steps of [100, 101, 102, 103]) void get(steps);
    void get(103, asked('b', { priority: 'high' }));
    void get(103, asked('b', { priority: 'low' }));
    void get(102, asked('b', { priority: 'low' }));
    for (let i = 0; i < 4; ++i) await running[i]!.end(10);
    expect(order()).toEqual([100, 103, 101, 102]);
  });

  it('go after those of a tenant whose programs took less time', async () => {
    const { get, running, order } = opened();
    void get(100, asked('a'));
    void get(200, asked('b'));
    await running[0]!.end(1000);
    void get(101, asked('a'));
    void get(201, asked('b'));
    void get(202, asked('b'));
    for (let i = 1; i < 5; ++i) await running[i]!.end(10);
    expect(order()).toEqual([100, 200, 201, 202, 101]);
  });

  it('are at most sixteen of a tenant', async () => {
    const { get, admission, running } = opened();
    for (let i = 0; i <= 16; ++i) void get(100 + i);
    const refused = await failure(get(200));
    expect([refused.code, refused.message]).toEqual([
      'ERR_DPM_OVERLOADED',
      '16 programs of this tenant wait to be compiled already, at most 16 may',
    ]);
    expect(refused.retryAfterMs).toBe(160);
    expect(admission.refused.wait).toBe(1);
    // One that waits already is no other.
    const same = get(116);
    const others = get(300, asked('b'));
    for (let i = 0; i < 18; ++i) await running[i]!.end(1);
    await Promise.all([same, others, get(116)]);
    expect(running).toHaveLength(18);
  });

  it('are not made where nobody wants them any more', async () => {
    const { get, running, order, programs } = opened();
    const [one, two] = [new AbortController(), new AbortController()];
    const first = get(100, asked(), one.signal);
    const left = get(101, asked(), one.signal);
    const wanted = [get(102, asked(), one.signal), get(102, asked(), two.signal)];
    one.abort();
    for (const each of [first, left, wanted[0]!])
      expect(await failure(each)).toMatchObject({ code: 'ERR_DPM_ABORTED' });
    expect(programs.unfinished).toBe(2);
    await running[0]!.end(5);
    await running[1]!.end(5);
    await wanted[1];
    expect([order(), programs.unfinished]).toEqual([[100, 102], 0]);
    // What had begun went on and was kept; what waited was not.
    await get(100);
    void get(101);
    expect(order()).toEqual([100, 102, 101]);
  });
});
