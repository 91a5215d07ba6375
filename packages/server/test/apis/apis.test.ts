// Tests of other APIs: OpenAI's images, and evaluations by the protocol of KServe and Triton.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { Batcher, DiffusionModel, DpmError, type BatchEvent } from 'dpm-native';

import { Server } from '../../src/index.js';
import { tensorsOf, type TensorHeader } from '../../src/apis/kserve/bodies/tensors.js';
import { eventsOf } from '../described.js';
import { ask as askServer, get, metric, model, post, serveDigits, server, type Answer } from '../support.js';

serveDigits();

const PIXELS = 784;

describe('OpenAI images', () => {
  const generate = (body: object): Promise<Answer> =>
    post('/v1/images/generations', { model: 'mnist', seed: 7, ...body });

  async function expected(count: number, steps: number, more: object = {}): Promise<string[]> {
    const { images } = await model.sample({ steps, seed: 7, count, format: 'uint8', ...more });
    return [...images].map((image) => Buffer.from(image.toPng()).toString('base64'));
  }
  const images = ({ json }: Answer): string[] => (json.data as { b64_json: string }[]).map(({ b64_json: b64 }) => b64);

  it('are drawn as their quality or steps say', async () => {
    const answer = await generate({ n: 2, quality: 'low', prompt: '', size: 'auto', user: 'me', background: 'opaque' });
    expect(answer.status).toBe(200);
    expect(images(answer)).toEqual(await expected(2, 10));
    expect(answer.json).toMatchObject({
      created: expect.any(Number) as number,
      size: '28x28',
      output_format: 'png',
      quality: 'low',
      data: [
        { seed: '7', index: 0 },
        { seed: '7', index: 1 },
      ],
    });
    expect(images(await generate({ size: '28x28' }))).toEqual(await expected(1, 25));
    expect(images(await generate({ quality: 'high' }))).toEqual(await expected(1, 50));
    expect(images(await generate({ num_inference_steps: 4 }))).toEqual(await expected(1, 4));
    expect(images(await generate({ steps: 4, num_inference_steps: 6 }))).toEqual(await expected(1, 4));
    expect(images(await generate({ steps: 4, sampler: 'heun' }))).toEqual(await expected(1, 4, { sampler: 'heun' }));
  });

  it('are in their order, whichever is there first', async () => {
    const spy = vi.spyOn(Batcher.prototype, 'stream').mockImplementationOnce(async function* (this: Batcher, request) {
      const events: BatchEvent[] = [];
      for await (const event of this.stream(request)) events.push(event);
      const backwards = events.filter(({ type }) => type === 'image').reverse();
      for (const event of events) yield event.type === 'image' ? backwards.shift()! : event;
    });
    const answer = await generate({ n: 3, num_inference_steps: 2 });
    expect(spy).toHaveBeenCalled();
    spy.mockRestore();
    expect((answer.json.data as { index: number }[]).map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(images(answer)).toEqual(await expected(3, 2));
  });

  it('come as a stream with partial ones', async () => {
    const { bytes, headers } = await generate({ stream: true, partial_images: 2, steps: 6 });
    expect(headers.get('content-type')).toBe('text/event-stream');
    const events = eventsOf(bytes.toString()).map(([, data]) => data);
    expect(events.map(({ type }) => type)).toEqual([
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ]);
    expect(events[1]).toMatchObject({ partial_image_index: 1 });
    expect(events.at(-1)).toMatchObject({ b64_json: (await expected(1, 6))[0], seed: '7' });
  });

  it.each<[string, object, number, string | null]>([
    ['a prompt of a model without classes', { prompt: 'a cat' }, 400, 'prompt'],
    ['another size', { size: '1024x1024' }, 400, 'size'],
    ['addresses of images', { response_format: 'url' }, 400, 'response_format'],
    ['another format', { output_format: 'webp' }, 400, 'output_format'],
    ['a transparent background', { background: 'transparent' }, 400, 'background'],
    ['too many', { n: 11 }, 400, 'n'],
    ['partial images of no stream', { partial_images: 1 }, 400, 'partial_images'],
    ['partial images of many', { partial_images: 1, stream: true, n: 5 }, 400, 'partial_images'],
    ['a sampler that is none', { sampler: 'toString' }, 400, 'sampler'],
    ['a field that is none', { style: 'vivid' }, 400, 'style'],
    ['a model that is none', { model: 'dall-e-3' }, 404, 'model'],
  ])('are refused with %s', async (_, body, status, param) => {
    const answer = await generate(body);
    expect(answer.status).toBe(status);
    expect(answer.json).toEqual({
      error: {
        message: expect.any(String) as string,
        type: 'invalid_request_error',
        param,
        code: expect.stringMatching(/^ERR_DPM_/) as string,
      },
    });
  });

  it('are counted, and refused as samples are', async () => {
    const done = await metric('dpm_requests_total', 'outcome="done"');
    const evaluations = await metric('dpm_sample_evaluations_total');
    await generate({ steps: 4, n: 2 });
    await generate({ steps: 4, stream: true });
    expect(await metric('dpm_requests_total', 'outcome="done"')).toBe(done + 2);
    expect(await metric('dpm_sample_evaluations_total')).toBe(evaluations + 12);
  });
});

describe('KServe', () => {
  const x = Float32Array.from({ length: 2 * PIXELS }, (_, i) => Math.sin(i));
  const infer = (body: object | Uint8Array, headers: Record<string, string> = {}): Promise<Answer> =>
    post('/v2/models/mnist/infer', body, headers);
  const t = { name: 't', shape: [2], datatype: 'FP32', data: [3, 40] };
  const states = { name: 'x', shape: [2, 1, 28, 28], datatype: 'FP32', data: [...x] };

  function binary(
    inputs: TensorHeader[],
    parts: Uint8Array[],
    more: object = {},
  ): [Uint8Array, Record<string, string>] {
    const header = Buffer.from(JSON.stringify({ inputs, ...more }));
    return [
      Buffer.concat([header, ...parts]),
      { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(header.length) },
    ];
  }

  it('describes the server and its models', async () => {
    expect((await get('/v2')).json).toMatchObject({ extensions: ['binary_tensor_data', 'schedule_policy'] });
    expect((await get('/v2/health/live')).status).toBe(200);
    expect((await get('/v2/health/ready')).json).toEqual({ ready: true });
    expect((await get('/v2/models/mnist')).json).toEqual({
      name: 'mnist',
      versions: ['1'],
      platform: 'dpm_native',
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [-1, 1, 28, 28] },
        { name: 't', datatype: 'FP32', shape: [-1] },
      ],
      outputs: [{ name: 'out', datatype: 'FP32', shape: [-1, 1, 28, 28] }],
    });
    expect((await get('/v2/models/mnist/ready')).json).toEqual({ name: 'mnist', ready: true });
    const missing = await get('/v2/models/cifar/ready');
    expect([missing.status, Object.keys(missing.json)]).toEqual([404, ['error']]);
  });

  it('evaluates the network, of numbers and of bytes', async () => {
    const { out } = await model.unet.forward(x, [3, 40]);
    const answer = await infer({ id: 'mine', inputs: [states, t], parameters: { timeout: 10_000_000, priority: 1 } });
    expect(answer.json).toMatchObject({ model_name: 'mnist', id: 'mine' });
    const [output] = answer.json.outputs as { name: string; shape: number[]; data: number[] }[];
    expect([output!.name, output!.shape]).toEqual(['out', [2, 1, 28, 28]]);
    expect(Float32Array.from(output!.data)).toEqual(out);
    const [body, headers] = binary(
      [
        { name: 'x', shape: [2, 1, 28, 28], datatype: 'FP32', parameters: { binary_data_size: x.byteLength } },
        { name: 't', shape: [2], datatype: 'INT32', parameters: { binary_data_size: 8 } },
      ],
      [new Uint8Array(x.buffer), new Uint8Array(Int32Array.of(3, 40).buffer)],
      { outputs: [{ name: 'out', parameters: { binary_data: true } }] },
    );
    const bytes = await infer(body, headers);
    const length = Number(bytes.headers.get('inference-header-content-length'));
    expect(JSON.parse(bytes.bytes.subarray(0, length).toString())).toMatchObject({
      outputs: [{ name: 'out', parameters: { binary_data_size: out.byteLength } }],
    });
    expect(new Uint8Array(bytes.bytes.subarray(length))).toEqual(new Uint8Array(out.buffer));
    const wholly = await infer({ inputs: [states, t], parameters: { binary_data_output: true } });
    expect(wholly.headers.get('content-type')).toBe('application/octet-stream');
    // What is said of an output counts before what is said of all.
    const outputs = [{ name: 'out', parameters: { binary_data: false } }];
    const numbers = await infer({ inputs: [states, t], outputs, parameters: { binary_data_output: true } });
    expect(numbers.headers.get('content-type')).toMatch(/^application\/json/);
    const whole = Buffer.from(JSON.stringify({ inputs: [states, t] }));
    expect((await infer(whole, { 'inference-header-content-length': String(whole.length) })).status).toBe(200);
  });

  it('takes a time limit in microseconds, a priority, and the weight of the client', async () => {
    const spy = vi.spyOn(Batcher.prototype, 'forward');
    await infer({ inputs: [states, t], parameters: { timeout: 10_000_000, priority: 1 } });
    expect(spy.mock.lastCall?.[2]).toMatchObject({ deadline: 10_000, priority: 'high', tenant: '', weight: 1 });
    spy.mockRestore();
  });

  it.each<[string, object, RegExp]>([
    ['no time', { inputs: [states, { ...states, name: 'y' }] }, /no input y/],
    ['one time for two', { inputs: [states, { ...t, shape: [1], data: [3] }] }, /input t has to have shape \[2\]/],
    [
      'another shape',
      { inputs: [{ ...states, shape: [2, 784] }, t] },
      /input x has to be of floats, \[batch, 1, 28, 28\]/,
    ],
    [
      'integers for states',
      { inputs: [{ ...states, datatype: 'INT32', data: [...x].map(() => 1) }, t] },
      /input x has to be of floats/,
    ],
    ['too few numbers', { inputs: [{ ...states, data: [1] }, t] }, /has 1 elements, its shape 1568/],
    ['texts', { inputs: [states, { ...t, data: ['3', '4'] }] }, /no numbers/],
    ['another type', { inputs: [states, { ...t, datatype: 'BYTES' }] }, /datatype BYTES, not one of/],
    ['half floats as numbers', { inputs: [{ ...states, datatype: 'FP16' }, t] }, /FP16 comes as binary data alone/],
    ['bfloats as numbers', { inputs: [{ ...states, datatype: 'BF16' }, t] }, /BF16 comes as binary data alone/],
    ['another output', { inputs: [states, t], outputs: [{ name: 'head' }] }, /no output head/],
    ['labels', { inputs: [states, t, { ...t, name: 'class_labels' }] }, /no input class_labels/],
    ['a field that is none', { inputs: [states, t], model: 'mnist' }, /model is not a known field/],
  ])('refuses %s', async (_, body, message) => {
    const answer = await infer(body);
    expect(answer.status).toBe(400);
    expect(answer.json).toEqual({ error: expect.stringMatching(message) as string });
  });

  it('refuses requests without a body, and inputs that are there twice', async () => {
    const { status, json } = await askServer(server, 'POST', '/v2/models/mnist/infer');
    expect([status, json]).toEqual([400, { error: 'the request has no body' }]);
    expect((await infer({ inputs: [states, t, t] })).json).toEqual({ error: 'an input is there twice' });
  });

  it('refuses lengths that are none', async () => {
    for (const length of ['99999', '-1', 'x', '1.5']) {
      const answer = await infer(Buffer.from('{}'), { 'inference-header-content-length': length });
      expect([answer.status, answer.json.error]).toEqual([400, expect.stringMatching(/no length of the body/)]);
    }
  });

  it('takes bodies of 64 MiB, and no more', async () => {
    const large = Buffer.alloc(65 * 2 ** 20, 0x20);
    const answer = await infer(large, { 'content-type': 'application/octet-stream' });
    expect([answer.status, answer.json.error]).toEqual([413, 'the body is too large']);
    const fitting = await infer(large.subarray(0, 2 * 2 ** 20));
    expect(fitting.status).toBe(400);
  });
});

/** Inputs of an evaluation of one state of the digits. */
const evaluated = [
  { name: 'x', shape: [1, 1, 28, 28], datatype: 'FP32', data: Array<number>(PIXELS).fill(0) },
  { name: 't', shape: [1], datatype: 'FP32', data: [3] },
];

it.each([
  ['stream', '/v1/images/generations', { model: 'own', steps: 2 }],
  ['forward', '/v2/models/own/infer', { inputs: evaluated }],
] as const)('a card that fails in %s is told of by the probes', async (method, path, body) => {
  const models = [{ id: 'own', path: 'mnist', device: 'cpu', rows: 1 }];
  await using own = await Server.start({ models, port: 0, logLevel: 'silent' });
  const failure = new DpmError('ERR_DPM_DEVICE', 'gone');
  const failing =
    method === 'forward'
      ? vi.spyOn(Batcher.prototype, method).mockRejectedValueOnce(failure)
      : vi.spyOn(Batcher.prototype, method).mockImplementationOnce(() => {
          throw failure;
        });
  expect((await askServer(own, 'POST', path, { body })).status).toBe(503);
  failing.mockRestore();
  expect((await askServer(own, 'GET', '/v2/health/ready')).json).toEqual({ ready: false });
});

describe('tensors', () => {
  const of = (header: Partial<TensorHeader>, bytes: number[] = []) => [
    ...tensorsOf([{ name: 'a', shape: [2], datatype: 'FP32', ...header }], Buffer.from(bytes))[0]!.values,
  ];
  const size = (bytes: number) => ({ parameters: { binary_data_size: bytes } });

  it('are read in every type', () => {
    expect(of({ datatype: 'FP16', ...size(4) }, [0x00, 0x3c, 0x00, 0xc0])).toEqual([1, -2]);
    expect(of({ datatype: 'FP16', ...size(4) }, [0x01, 0x00, 0xff, 0x7b])).toEqual([2 ** -24, 65504]);
    expect(of({ datatype: 'FP16', ...size(4) }, [0x01, 0x80, 0x00, 0x00])).toEqual([-(2 ** -24), 0]);
    expect(of({ datatype: 'FP16', ...size(4) }, [0x00, 0x7c, 0x01, 0x7e])).toEqual([Infinity, NaN]);
    expect(of({ datatype: 'BF16', ...size(4) }, [0x80, 0x3f, 0x49, 0xc0])).toEqual([1, -3.140625]);
    expect(of({ datatype: 'INT64', ...size(16) }, [5, 0, 0, 0, 0, 0, 0, 0, ...Array<number>(8).fill(255)])).toEqual([
      5, -1,
    ]);
    expect(of({ datatype: 'INT32', data: [[1], [2]] })).toEqual([1, 2]);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['a size that is not the shape’s', () => of(size(7), [1, 2, 3, 4, 5, 6, 7]), /has 7 bytes, its shape 8/],
    ['bytes that are missing', () => of(size(8), [1, 2]), /ends with the body/],
    ['bytes that are too many', () => of(size(8), Array<number>(9).fill(0)), /1 bytes that are no tensor's/],
    ['numbers and bytes', () => of({ data: [1, 2], ...size(8) }, Array<number>(8).fill(0)), /data and binary data/],
    [
      'no elements of the most',
      () => of({ shape: [2 ** 14, 2 ** 14], data: [] }),
      /has 0 elements, its shape 268435456/,
    ],
    ['too many elements', () => of({ shape: [2 ** 20, 2 ** 20], data: [] }), /too many elements/],
    [
      'integers beyond 32 bits',
      () => of({ datatype: 'INT64', ...size(16) }, [...Array<number>(16).fill(1)]),
      /beyond 32 bits/,
    ],
    ['numbers beyond 32 bits', () => of({ datatype: 'INT32', data: [1, 2 ** 32] }), /no integers of 32 bits/],
    ['fractions for integers', () => of({ datatype: 'INT32', data: [1.5, 2] }), /no integers/],
    ['a type that every object has', () => of({ datatype: 'constructor' }), /datatype constructor/],
  ])('are refused with %s', (_, read, message) => {
    expect(read).toThrow(message);
  });
});

describe('a model with classes', () => {
  const folder = new URL('../../../../test/fixtures/unet/diffusers-adm', import.meta.url).pathname;
  let conditional: DiffusionModel;
  let classes: Server;

  beforeAll(async () => {
    conditional = await DiffusionModel.load(folder, { device: 'cpu' });
    classes = await Server.start({
      models: [{ id: 'adm', path: folder, device: 'cpu', rows: 4, labels: ['tench', 'goldfish'] }],
      port: 0,
      logLevel: 'silent',
    });
  });
  afterAll(async () => {
    await classes.stop();
    await conditional.close();
  });

  const ask = async (path: string, body: object): Promise<[number, Record<string, unknown>]> => {
    const { status, json } = await askServer(classes, 'POST', path, { body });
    return [status, json];
  };

  it('is asked for a class by its label or number', async () => {
    const draw = async (prompt: string) => {
      const [status, { data, error }] = await ask('/v1/images/generations', {
        model: 'adm',
        prompt,
        steps: 2,
        seed: 1,
        guidance_scale: 1.5,
      });
      return status === 200 ? (data as { b64_json: string }[])[0]!.b64_json : error;
    };
    const { images } = await conditional.sample({ steps: 2, seed: 1, classLabels: 1, guidance: 1.5, format: 'uint8' });
    const expected = Buffer.from(images.toPng()).toString('base64');
    expect(await draw('goldfish')).toBe(expected);
    expect(await draw('class:1')).toBe(expected);
    expect(await draw('tench')).not.toBe(expected);
    for (const wrong of ['', 'a goldfish', `class:${conditional.unet.info.classes}`, 'class:x']) {
      expect(await draw(wrong)).toMatchObject({
        param: 'prompt',
        message: expect.stringMatching(/name a class/) as string,
      });
    }
  });

  it('is evaluated with labels', async () => {
    const [channels, height, width] = conditional.sampleShape;
    const shape = [1, channels, height, width];
    const x = new Float32Array(channels * height * width).fill(0.25);
    const inputs = [
      { name: 'x', shape, datatype: 'FP32', data: [...x] },
      { name: 't', shape: [1], datatype: 'FP32', data: [5] },
    ];
    const label = { name: 'class_labels', shape: [1], datatype: 'INT32', data: [3] };
    const [status, answer] = await ask('/v2/models/adm/infer', { inputs: [...inputs, label] });
    expect(status).toBe(200);
    const { out } = await conditional.unet.forward(x, 5, { classLabels: [3] });
    expect(Float32Array.from((answer.outputs as { data: number[] }[])[0]!.data)).toEqual(out);
    expect(await ask('/v2/models/adm/infer', { inputs })).toEqual([400, { error: 'input class_labels is missing' }]);
    const floats = { ...label, datatype: 'FP32' };
    expect((await ask('/v2/models/adm/infer', { inputs: [...inputs, floats] }))[0]).toBe(400);
  });
});
