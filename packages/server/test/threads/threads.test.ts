// Tests that other threads give the results that this one would give, and that this one goes on meanwhile.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { compileTask, type CompileTask, DiffusionModel, ImageBatch } from 'dpm-native';

import { Server } from '../../src/index.js';
import { limits } from '../../src/config/limits.js';
import { ThreadPool } from '../../src/threads/pool.js';
import { eventsOf } from '../described.js';
import { type Answer, ask, serveDigits, server } from '../support.js';

serveDigits();

const nothing = { images: 0, elements: 0, bytes: 0, numbers: 0, picture: 0 };

describe('a server that does nothing in line', () => {
  let other: Server;

  beforeAll(async () => {
    const models = [{ path: 'mnist', device: 'cpu', rows: 4 }];
    other = await Server.startWithin({ models, port: 0, logLevel: 'silent' }, { ...limits, inLine: nothing });
  });
  afterAll(async () => {
    await other.stop();
  });

  const both = (path: string, asking: Parameters<typeof ask>[3]): Promise<[Answer, Answer]> =>
    Promise.all([ask(server, 'POST', path, asking), ask(other, 'POST', path, asking)]);

  const x = {
    name: 'x',
    shape: [3, 1, 28, 28],
    datatype: 'FP32',
    data: Array.from({ length: 3 * 784 }, (_, i) => Math.sin(i)),
  };
  const t = { name: 't', shape: [3], datatype: 'INT32', data: [3, 400, 999] };

  it.each<[string, object]>([
    ['numbers', { id: 'mine', inputs: [x, t] }],
    ['nested numbers', { inputs: [x, { ...t, data: [[3], [[400]], 999] }] }],
    ['bytes to give back', { inputs: [x, t], outputs: [{ name: 'out', parameters: { binary_data: true } }] }],
  ])('evaluates the same of %s', async (_, body) => {
    const [one, two] = await both('/v2/models/mnist/infer', { body });
    expect(one.status).toBe(200);
    expect(two.bytes).toEqual(one.bytes);
    expect(two.headers.get('content-type')).toBe(one.headers.get('content-type'));
  });

  it('evaluates the same of bytes', async () => {
    const described = { name: 'x', shape: [1, 1, 28, 28], datatype: 'FP16', parameters: { binary_data_size: 2 * 784 } };
    const header = Buffer.from(JSON.stringify({ inputs: [described, { ...t, shape: [1], data: [5] }] }));
    const halves = Buffer.alloc(2 * 784, 0x35);
    const headers = { 'inference-header-content-length': String(header.length) };
    const [one, two] = await both('/v2/models/mnist/infer', { body: Buffer.concat([header, halves]), headers });
    expect(one.status).toBe(200);
    expect(two.bytes).toEqual(one.bytes);
  });

  it('tells the same events in the same order', async () => {
    const body = {
      model: 'mnist',
      sampler: 'ddim',
      steps: 6,
      count: 3,
      seed: 7,
      preview: { every: 2, of: 'prediction' },
    };
    const asking = { body, headers: { accept: 'text/event-stream' } };
    const [one, two] = (await both('/v1/samples', asking)).map(({ bytes }) =>
      eventsOf(bytes.toString()).filter(([name]) => name === 'preview' || name === 'image'),
    );
    // Previews of a sample are before its image; samples share the batch as they come.
    const ofSample = (events: typeof one, sample: number) => events?.filter(([, { index }]) => index === sample);
    for (const sample of [0, 1, 2]) {
      expect(ofSample(one, sample)).toHaveLength(4);
      expect(ofSample(two, sample)).toEqual(ofSample(one, sample));
    }
  });

  it('tells the same events of OpenAI in the same order, and the same images', async () => {
    const body = { model: 'mnist', seed: 7, steps: 6, stream: true, partial_images: 2 };
    const told = (await both('/v1/images/generations', { body })).map(({ bytes }) =>
      eventsOf(bytes.toString()).map(([name, { b64_json: image }]) => [name, image]),
    );
    expect(told[0]).toHaveLength(3);
    expect(told[1]).toEqual(told[0]);
    const whole = await both('/v1/images/generations', { body: { model: 'mnist', seed: 7, steps: 3, n: 3 } });
    expect(whole[1].json.data).toEqual(whole[0].json.data);
  });

  it.each<[string, unknown]>([
    ['no JSON', '{"inputs": ['],
    ['nothing', '{}'],
    ['deep nesting', '['.repeat(100)],
    ['no UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['a prototype', '{"__proto__": 1}'],
    ['a field that is none', { inputs: [x, t], model: 'mnist' }],
    ['another output', { inputs: [x, t], outputs: [{ name: 'head' }] }],
    ['too few numbers', { inputs: [{ ...x, data: [1] }, t] }],
    ['texts', { inputs: [x, { ...t, data: ['3', '4', '5'] }] }],
    ['another type', { inputs: [x, { ...t, datatype: 'BYTES' }] }],
    ['another input', { inputs: [x, { ...t, name: 'y' }] }],
  ])('refuses %s in the same words', async (_, body) => {
    const [one, two] = await both('/v2/models/mnist/infer', { body });
    expect(one.status).toBe(400);
    expect([two.status, two.json]).toEqual([one.status, one.json]);
  });
});

/** Runs work, and expects it to block the event loop for less than half as long as work on the loop itself. */
async function unblocked<T>(work: () => Promise<T>, blocking: () => unknown): Promise<T> {
  const began = performance.now();
  blocking();
  const most = (performance.now() - began) / 2;
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  await sleep(20);
  const result = await work();
  // The turn after a block shows it.
  await sleep(20);
  delays.disable();
  expect(delays.max / 1e6).toBeLessThan(most);
  return result;
}

/** Other work on the machine takes time of the event loop, too. */
const mayWait = { retry: 3 };

describe('a long program of a request', () => {
  const asking = { sampler: 'analytic-ddpm', seed: 5, model: 'mnist' };
  const headers = { accept: 'image/png' };
  const watched = () => {
    const compile = vi.spyOn(ThreadPool.prototype, 'compile');
    onTestFinished(() => {
      compile.mockRestore();
    });
    return compile;
  };

  it('is made once, by a thread, and draws what the library draws', async () => {
    const compile = watched();
    const body = { ...asking, steps: 7, options: { trajectory: 'optimal' } };
    const answers = [];
    for (let i = 0; i < 2; ++i) answers.push(await ask(server, 'POST', '/v1/samples', { body, headers }));
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const { images } = await model.sample({ sampler: 'analytic-ddpm', steps: 7, trajectory: 'optimal', seed: 5 });
    for (const { status, bytes } of answers) {
      expect(status).toBe(200);
      expect((await ImageBatch.decode(bytes)).toUint8()).toEqual(images.toUint8());
    }
    expect(compile).toHaveBeenCalledTimes(1);
    expect(compile.mock.calls[0]![0].options).toEqual({ steps: 7, trajectory: 'optimal' });
    await ask(server, 'POST', '/v1/samples', { body: { ...asking, steps: 8 }, headers });
    expect(compile).toHaveBeenCalledTimes(1);
  });

  it('is refused in the words of a short one', async () => {
    const compile = watched();
    const answers = [];
    for (const steps of [6, 60]) {
      const body = { ...asking, sampler: 'deis', steps, options: { order: 9 } };
      const { status, json } = await ask(server, 'POST', '/v1/samples', { body });
      answers.push({ status, ...json, id: '' });
    }
    expect(answers[0]).toMatchObject({ status: 400, param: 'order' });
    expect(answers[1]).toEqual(answers[0]);
    expect(compile).toHaveBeenCalledTimes(1);
  });
});

describe('a pool of threads', () => {
  const program: CompileTask = { schedule: [['linear', {}]], gamma: null, sampler: 'deis', options: { steps: 1000 } };

  it('leaves the event loop free while it makes a program of 1,000 steps', mayWait, async () => {
    const pool = new ThreadPool();
    const made = await unblocked(
      () => pool.compile(program),
      () => compileTask(program),
    );
    await pool.close();
    expect(made.program).toEqual(compileTask(program).program);
  });

  it('ends a program that it makes when it is closed', async () => {
    const pool = new ThreadPool();
    const making = pool.compile({ ...program, options: { ...program.options, order: 4 } });
    const ended = expect(making).rejects.toThrow();
    await pool.close();
    await ended;
  });

  const rows = 1300;
  const data = Array.from({ length: rows * 784 }, (_, i) => Math.sin(i));
  const inputs = [
    { name: 'x', datatype: 'FP32', shape: [rows, 1, 28, 28], data },
    { name: 't', datatype: 'INT32', shape: [rows], data: Array<number>(rows).fill(3) },
  ];

  it('leaves the event loop free while it reads and writes 20 MB of numbers', mayWait, async () => {
    const pool = new ThreadPool();
    const bytes = Buffer.from(JSON.stringify({ inputs }));
    const { length } = bytes;
    expect(length).toBeGreaterThan(2e7);
    const work = async () => {
      const { tensors } = await pool.read({ bytes, jsonLength: length });
      const { values } = tensors[0]!;
      return { values, text: await pool.write({ fields: {}, output: {}, values: values as Float32Array }) };
    };
    const { values, text } = await unblocked(work, () => JSON.stringify(JSON.parse(bytes.toString())));
    await pool.close();
    expect(Buffer.from(values.buffer).equals(Buffer.from(Float32Array.from(data).buffer))).toBe(true);
    expect(text.length).toBeGreaterThan(1e7);
    // The bytes have gone to the other thread.
    expect(bytes.length).toBe(0);
  });

  it('leaves the event loop free while it encodes images', mayWait, async () => {
    const pool = new ThreadPool();
    const size = 1024;
    const levels = Uint8Array.from({ length: 3 * size * size }, (_, i) => (i * i) >> 3);
    const image = new ImageBatch(levels, [1, 3, size, size]);
    const [one, two] = await unblocked(
      () => Promise.all([pool.png(image), pool.png(image)]),
      () => [image.toPng(), image.toPng()],
    );
    await pool.close();
    expect(one).toBe(two);
    expect(one).toBe(Buffer.from(image.toPng()).toString('base64'));
  });

  it('copies what it has not got wholly', async () => {
    const pool = new ThreadPool(nothing);
    const text = JSON.stringify({ inputs: [{ ...inputs[1], name: 'a' }, inputs[1]] });
    const bytes = Buffer.from(`  ${text}`).subarray(2);
    const { tensors } = await pool.read({ bytes, jsonLength: bytes.length });
    await pool.close();
    expect(tensors.map(({ name, values }) => [name, values.length])).toEqual([
      ['a', rows],
      ['t', rows],
    ]);
    expect(bytes.toString()).toBe(text);
  });
});
