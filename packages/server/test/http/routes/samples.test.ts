// Tests that samples over HTTP are those of the library, in every form.
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DEFAULT_STEPS, type ImageBatch } from 'dpm-native';

import { Server } from '../../../src/index.js';
import { eventsOf } from '../../described.js';
import {
  ask,
  type Answer,
  expectProblem,
  get,
  metric,
  model,
  post,
  sample,
  serveDigits,
  server,
  until,
} from '../../support.js';
import { writeModel } from '../../../../../test/support/golden-network.js';
import { temporaryFolder } from '../../../../../test/support/temporary.js';

serveDigits();

const request = { sampler: 'ddim', steps: 3, seed: 7 } as const;

async function levels(count: number, first = 0): Promise<ImageBatch> {
  return (await model.sample({ ...request, count, first, format: 'uint8' })).images;
}

interface Shown {
  index: number;
  contentType: string;
  b64: string;
}

const pngs = (images: unknown): Buffer[] => (images as Shown[]).map(({ b64 }) => Buffer.from(b64, 'base64'));

describe('images of two channels', () => {
  const folder = temporaryFolder();
  let pairs: Server;
  beforeAll(async () => {
    await writeModel(folder, {
      ...{ sample_size: 8, in_channels: 2, out_channels: 2, layers_per_block: 1 },
      ...{ block_out_channels: [32], down_block_types: ['DownBlock2D'], up_block_types: ['UpBlock2D'] },
    });
    pairs = await Server.start({ models: [{ id: 'pairs', path: folder, device: 'cpu' }], port: 0, logLevel: 'silent' });
  });
  afterAll(() => pairs.stop());
  const drawn = (accept: string): Promise<Answer> =>
    ask(pairs, 'POST', '/v1/samples', { body: { model: 'pairs', ...request, seed: '7' }, headers: { accept } });

  it('are never pictures', async () => {
    const any = await drawn('*/*');
    expect([any.status, any.headers.get('content-type')]).toEqual([200, 'application/x-npy']);
    for (const accept of ['image/png', 'application/json', 'text/event-stream']) {
      expectProblem(await drawn(accept), 406, 'ERR_DPM_NOT_ACCEPTABLE');
    }
  });
});

describe('JSON', () => {
  it('has every image as PNG, and what there is to say of them', async () => {
    const answer = await sample({ count: 3 });
    expect(answer.status).toBe(200);
    const { images, ...fields } = answer.json;
    expect(pngs(images)).toEqual([...(await levels(3))].map((image) => Buffer.from(image.toPng())));
    expect((images as Shown[]).map(({ index, contentType }) => [index, contentType])).toEqual([
      [0, 'image/png'],
      [1, 'image/png'],
      [2, 'image/png'],
    ]);
    expect(fields).toEqual({
      id: answer.headers.get('dpm-id'),
      model: 'mnist',
      digest: await model.digest(),
      seed: '7',
      shape: [3, 1, 28, 28],
      evaluations: 9,
      queuedMs: expect.any(Number) as number,
      runMs: expect.any(Number) as number,
      msPerEvaluation: expect.any(Number) as number,
    });
    expect(answer.headers.get('dpm-seed')).toBe('7');
    expect(answer.headers.get('dpm-digest')).toBe(await model.digest());
    expect(answer.headers.get('dpm-evaluations')).toBe('9');
    const { queuedMs, runMs } = fields as { queuedMs: number; runMs: number };
    const timing = answer.headers.get('server-timing')!;
    expect(timing).toMatch(/^queue;dur=[\d.]+, run;dur=[\d.]+, encode;dur=[\d.]+$/);
    expect(timing).toContain(`queue;dur=${queuedMs}, run;dur=${runMs},`);
  });

  it('is the same for many images, which other threads encode', async () => {
    const answer = await sample({ count: 9 });
    expect(pngs(answer.json.images)).toEqual([...(await levels(9))].map((image) => Buffer.from(image.toPng())));
  });

  it('comes in parts as a whole', async () => {
    const parts = await Promise.all([0, 1, 2].map((first) => sample({ first })));
    const whole = await sample({ count: 3 });
    expect(parts.flatMap(({ json }) => pngs(json.images))).toEqual(pngs(whole.json.images));
  });

  it('tells the seed that was drawn', async () => {
    const drawn = await post('/v1/samples', { model: 'mnist', sampler: 'ddim', steps: 3 });
    expect(drawn.json.seed).toMatch(/^\d+$/);
    const again = await sample({ seed: drawn.json.seed });
    expect(pngs(again.json.images)).toEqual(pngs(drawn.json.images));
    const other = await post('/v1/samples', { model: 'mnist', sampler: 'ddim', steps: 3 });
    expect(other.json.seed).not.toBe(drawn.json.seed);
  });

  it('is what the scheduler file says without a sampler, of the default steps', async () => {
    const answer = await post('/v1/samples', { model: 'mnist', seed: '18446744073709551615' });
    const { images } = await model.sample({ steps: DEFAULT_STEPS, seed: 2n ** 64n - 1n, format: 'uint8' });
    expect(pngs(answer.json.images)).toEqual([Buffer.from(images.toPng())]);
  });

  it("takes the sampler's own options, and states", async () => {
    const options = { order: 3, variant: 'bh1' } as const;
    const unipc = await sample({ sampler: 'unipc', steps: 5, options });
    const expected = await model.sample({ sampler: 'unipc', steps: 5, seed: 7, ...options, format: 'uint8' });
    expect(pngs(unipc.json.images)).toEqual([Buffer.from(expected.images.toPng())]);
    const states = Float32Array.from({ length: 784 }, (_, i) => Math.sin(i));
    const init = { shape: [1, 1, 28, 28], b64: Buffer.from(states.buffer).toString('base64') };
    const started = await sample({ init });
    const { images } = await model.sample({ ...request, init: states, format: 'uint8' });
    expect(pngs(started.json.images)).toEqual([Buffer.from(images.toPng())]);
    // A request with a trajectory has no number of steps.
    const timed = await sample({ steps: undefined, options: { timesteps: [900, 500, 100] } });
    expect(timed.json.evaluations).toBe(3);
  });
});

describe('other forms', () => {
  it('are a picture, of several images a grid', async () => {
    const one = await sample({}, { accept: 'image/png' });
    expect(one.headers.get('content-type')).toBe('image/png');
    expect(one.headers.get('dpm-grid')).toBeNull();
    expect(one.bytes).toEqual(Buffer.from((await levels(1)).toPng()));
    const five = await sample({ count: 5 }, { accept: 'image/png' });
    expect(five.headers.get('dpm-grid')).toBe('3x2');
    expect(five.bytes).toEqual(Buffer.from((await levels(5)).toPng({ columns: 3 })));
    expect(decode(five.bytes).width).toBeGreaterThan(3 * 28);
  });

  it.each([
    ['u8', '|u1', 1],
    ['f32', '<f4', 4],
  ])('are numpy files of %s', async (dtype, descr, size) => {
    const { bytes, headers } = await sample({ count: 2, dtype }, { accept: 'application/x-npy' });
    expect(headers.get('content-type')).toBe('application/x-npy');
    expect(bytes.subarray(0, 8)).toEqual(Buffer.from('\x93NUMPY\x01\x00', 'latin1'));
    const length = bytes.readUInt16LE(8);
    expect((10 + length) % 64).toBe(0);
    const header = bytes.subarray(10, 10 + length).toString();
    expect(header).toBe(
      `{'descr': '${descr}', 'fortran_order': False, 'shape': (2, 1, 28, 28), }`.padEnd(length - 1) + '\n',
    );
    const values = bytes.subarray(10 + length);
    expect(values.length).toBe(2 * 784 * size);
    const images = dtype === 'u8' ? await levels(2) : (await model.sample({ ...request, count: 2 })).images;
    const expected = dtype === 'u8' ? images.toUint8() : new Uint8Array(images.data.buffer);
    expect(values).toEqual(Buffer.from(expected));
  });

  it('are safetensors', async () => {
    const { bytes } = await sample({ count: 2, dtype: 'f32' }, { accept: 'application/x-safetensors' });
    const length = Number(bytes.readBigUInt64LE());
    expect(length % 8).toBe(0);
    expect(JSON.parse(bytes.subarray(8, 8 + length).toString())).toEqual({
      images: { dtype: 'F32', shape: [2, 1, 28, 28], data_offsets: [0, 2 * 784 * 4] },
    });
    const { images } = await model.sample({ ...request, count: 2 });
    expect(bytes.subarray(8 + length)).toEqual(Buffer.from(images.data.buffer));
  });

  it('are chosen by what the client likes best', async () => {
    const type = async (accept: string) => (await sample({}, { accept })).headers.get('content-type');
    expect(await type('*/*')).toBe('application/json');
    expect(await type('image/*')).toBe('image/png');
    expect(await type('application/json;q=0.5, image/png')).toBe('image/png');
    expect(await type('image/png;q=0, */*')).toBe('application/json');
    expect(await type('text/html, application/x-npy;q=0.1')).toBe('application/x-npy');
    expectProblem(await sample({}, { accept: 'image/webp' }), 406, 'ERR_DPM_NOT_ACCEPTABLE');
  });
});

describe('a stream', () => {
  async function events(body: object): Promise<[string, Record<string, unknown>][]> {
    const { bytes, headers } = await sample(body, { accept: 'text/event-stream' });
    expect(headers.get('content-type')).toBe('text/event-stream');
    return eventsOf(bytes.toString());
  }

  it('tells of everything in order', async () => {
    const told = await events({ steps: 4, count: 2, preview: { every: 2, of: 'prediction' } });
    expect(told[0]).toMatchObject(['accepted', { model: 'mnist', seed: '7', digest: await model.digest() }]);
    expect(told[0]![1].expectedWaitMs).toEqual(expect.any(Number));
    const of = (name: string) => told.flatMap(([each, data]) => (each === name ? [data] : []));
    expect(of('progress').at(-1)).toEqual({ done: 8, total: 8 });
    expect(
      of('preview')
        .map(({ index, record }) => `${String(index)} after ${String(record)}`)
        .sort(),
    ).toEqual(['0 after 2', '0 after 4', '1 after 2', '1 after 4']);
    const images = of('image').sort((a, b) => Number(a.index) - Number(b.index));
    const { images: expected } = await model.sample({ ...request, steps: 4, count: 2, format: 'uint8' });
    expect(pngs(images)).toEqual([...expected].map((image) => Buffer.from(image.toPng())));
    expect(told.at(-1)).toMatchObject(['done', { evaluations: 8 }]);
  });

  it('ends with the problem where there is one', async () => {
    const told = await events({ sampler: 'dpm-solver-adaptive', steps: undefined, deadlineMs: 5 });
    expect(told.at(-1)).toMatchObject(['error', { code: 'ERR_DPM_DEADLINE', status: 504 }]);
    expect(told[0]![0]).toBe('accepted');
  });

  it('does not begin where the request is refused', async () => {
    const refused = await sample({ steps: 1000, deadlineMs: 1 }, { accept: 'text/event-stream' });
    expectProblem(refused, 503, 'ERR_DPM_DEADLINE');
  });

  it('is left with its reader', async () => {
    const cancelled = await metric('dpm_requests_total', 'outcome="cancelled"');
    const left = new AbortController();
    const response = await fetch(`${server.url}/v1/samples`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ model: 'mnist', sampler: 'ddpm', steps: 1000 }),
      signal: left.signal,
    });
    const reader = response.body!.getReader();
    await reader.read();
    expect(await metric('dpm_streams_open')).toBe(1);
    left.abort();
    await until(async () => (await metric('dpm_samples_resident')) === 0);
    expect(await metric('dpm_streams_open')).toBe(0);
    expect(await metric('dpm_requests_total', 'outcome="cancelled"')).toBe(cancelled + 1);
  });
});

it('a request that is not waited for any more is cancelled', async () => {
  const left = new AbortController();
  const body = { model: 'mnist', sampler: 'ddpm', steps: 1000, count: 8 };
  const answer = post('/v1/samples', body, {}, left.signal).catch((error: unknown) => error);
  await until(async () => (await metric('dpm_samples_resident')) > 0);
  left.abort();
  expect(await answer).toMatchObject({ name: 'AbortError' });
  await until(async () => (await metric('dpm_samples_resident')) === 0);
});

describe('models and samplers', () => {
  it('are listed', async () => {
    expect((await get('/v1/models')).json).toEqual({
      object: 'list',
      data: [{ id: 'mnist', object: 'model', created: expect.any(Number) as number, owned_by: 'dpm-native' }],
    });
    const { json } = await get('/v1/models/mnist');
    expect(json).toMatchObject({
      id: 'mnist',
      digest: await model.digest(),
      shape: [1, 28, 28],
      classes: 0,
      device: 'cpu',
      batcher: { rows: 4, slots: 16, expectedWaitMs: 0 },
    });
    expect(json.samplers).toContain('analytic-ddpm');
    expectProblem(await get('/v1/models/cifar'), 404, 'ERR_DPM_NOT_FOUND');
    const samplers = (await get('/v1/samplers')).json.data as { id: string; options: object; kind: string }[];
    expect(samplers.find(({ id }) => id === 'unipc')).toMatchObject({
      kind: 'step',
      head: null,
      options: {
        order: { description: expect.any(String) as string, type: 'integer' },
        variant: { type: 'string', values: ['bh1', 'bh2'] },
        denoiseToZero: { type: 'boolean' },
        initialScale: { type: 'number' },
        clip: { description: expect.any(String) as string },
      },
    });
    expect(samplers.find(({ id }) => id === 'dpm-solver-adaptive')?.kind).toBe('host');
    expect(samplers.find(({ id }) => id === 'analytic-ddpm')).toMatchObject({ needsGamma: true });
    expect(samplers.find(({ id }) => id === 'analytic-ddpm')?.options).not.toHaveProperty('gamma');
  });
});

describe('what is counted', () => {
  it('are seconds of waits and of runs, no more than the request takes', async () => {
    const read = () => Promise.all(['dpm_run_seconds_sum', 'dpm_queue_seconds_sum'].map((name) => metric(name)));
    const before = await read();
    const start = performance.now();
    await sample({ count: 2 });
    const seconds = (performance.now() - start) / 1e3;
    const [ran = NaN, queued = NaN] = (await read()).map((value, i) => value - before[i]!);
    expect(ran).toBeGreaterThan(0);
    expect(queued).toBeGreaterThanOrEqual(0);
    expect(ran + queued).toBeLessThanOrEqual(seconds);
  });

  it('are requests, samples, evaluations and steps', async () => {
    const names = [
      ['dpm_samples_total', 'sampler="ddim"'],
      ['dpm_sample_evaluations_total', 'model="mnist"'],
      ['dpm_requests_total', 'outcome="done"'],
      ['dpm_http_requests_total', 'route="/v1/samples",method="POST",status="200"'],
      ['dpm_run_seconds_count', ''],
      ['dpm_queue_seconds_count', ''],
      ['dpm_rows_total', ''],
    ] as const;
    const read = () => Promise.all(names.map(([name, labels]) => metric(name, labels)));
    const before = await read();
    await sample({ count: 2 });
    const after = await read();
    expect(after.map((value, i) => value - before[i]!)).toEqual([2, 6, 1, 1, 1, 1, 6]);
    expect(await metric('dpm_capacity_rows_per_second')).toBeGreaterThan(0);
    expect(await metric('dpm_event_loop_delay_seconds', 'quantile="0.99"')).toBeLessThan(10);
    expect(await metric('dpm_backlog_seconds')).toBe(0);
    expect(await metric('dpm_model_bytes')).toBeGreaterThan(0);
    expect(await metric('process_cpu_seconds_total')).toBeGreaterThan(0);
  });
});
