// Tests of new jobs, and of finding the images of jobs again.
import { ImageBatch, UNet } from 'dpm-native';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { encoded } from '../../src/samples/encode.js';
import { engineClass } from '../../src/jobs/engine-class.js';
import {
  chunkCount,
  chunkFormats,
  chunkKey,
  chunkRequest,
  contentTypes,
  hashOf,
  jobBodySchema,
  keyedId,
  queueOf,
} from '../../src/jobs/job.js';
import { newJob } from '../../src/jobs/new-job.js';
import { imageOfChunk } from '../../src/jobs/sample-of-chunk.js';
import { mismatchOf } from '../../src/base/schema.js';
import { viewOf } from '../../src/jobs/view.js';
import type { ServedModel } from '../../src/models/served.js';
import { ThreadPool } from '../../src/threads/pool.js';
import { anybody } from '../../src/base/client.js';
import { jobOf } from './job-of.js';

type Loose = Record<string, unknown>;

type LabelsGiven = Parameters<UNet['labels']>;

/** A model with the methods that new jobs need, and one evaluation for each step. */
function served({ channels = 3, classes = 10, rowsPerSecond = 1000 } = {}): ServedModel {
  const model: Loose = {
    sampleShape: [channels, 2, 2],
    range: [-1, 1],
    // The library itself checks labels.
    unet: {
      info: { classes },
      labels: (...given: LabelsGiven) => UNet.prototype.labels.apply({ info: { classes } } as never, given),
    },
    device: { name: 'cpu', description: 'amx, 2 threads (built in: all)' },
    program: ({ steps }: { steps: number }) => ({
      kind: 'step',
      records: Array.from({ length: steps + 1 }, (_, i) => ({ evaluate: i < steps })),
    }),
  };
  const made: Loose = {
    kind: 'pixels',
    id: 'm',
    digest: 'ab'.repeat(32),
    config: {},
    model,
    batcher: { capacity: { rowsPerSecond } },
  };
  return made as unknown as ServedModel;
}

const own = { id: jobOf().id, trace: {}, client: { ...anybody, name: 'shop', weight: 3 } };
const body = { model: 'm', sampler: 'ddim', steps: 10, count: 100, seed: 1, classLabels: 3 } as const;

describe('a new job', () => {
  it('has all that its chunks need', () => {
    const job = newJob(
      { ...body, guidance: [...Array<number>(60).fill(1), ...Array<number>(40).fill(2)] },
      served(),
      own,
    );
    expect(job).toMatchObject({
      id: own.id,
      tenant: 'shop',
      weight: 3,
      engine: expect.stringMatching(/^cpu-amx-f32-\d/) as string,
      shape: [3, 2, 2],
      range: [-1, 1],
      rows: 10 * (60 + 2 * 40),
    });
    expect(job.body).toMatchObject({ seed: '1', priority: 'low' });
    expect(chunkCount(job)).toBe(2);
    expect(newJob({ ...body, priority: 'normal' }, served(), own).body.priority).toBe('normal');
    expect(newJob({ ...body, guidance: 0 }, served(), own).rows).toBe(1000);
    expect(newJob({ ...body, guidance: 3 }, served(), own).rows).toBe(2000);
    // Weights are float32 numbers, and this one rounds to 1.
    expect(newJob({ ...body, guidance: 1 + 1e-9 }, served(), own).rows).toBe(1000);
    // The job takes 1250 seconds in all, but none of its chunks is long.
    expect(newJob({ ...body, chunk: 1 }, served({ rowsPerSecond: 0.8 }), own).rows).toBe(1000);
  });

  it.each<[string, object, Parameters<typeof served>[0], object]>([
    ['chunks that take too long', {}, { rowsPerSecond: 0.8 }, { param: 'chunk', status: 400 }],
    ['a label that is none', { classLabels: 10 }, {}, { param: 'classLabels', status: 400 }],
    ['labels one of which is none', { classLabels: [...Array<number>(99).fill(0), 10] }, {}, { param: 'classLabels' }],
    ['fewer labels than samples', { classLabels: [1, 2] }, {}, { param: 'classLabels', status: 400 }],
    ['no labels', { classLabels: undefined }, {}, { param: 'classLabels', status: 400 }],
    ['fewer weights than samples', { guidance: [1, 2] }, {}, { param: 'guidance', status: 400 }],
    ['a weight that is none', { guidance: [...Array<number>(99).fill(1), 1e39] }, {}, { param: 'guidance' }],
    ['guidance for nothing', { guidance: 2, classLabels: undefined }, { classes: 0 }, { param: 'guidance' }],
    ['a label for no class that is none', { guidance: 2, unconditionalLabel: 10 }, {}, { param: 'unconditionalLabel' }],
    ['a label for no guidance', { guidance: 1, unconditionalLabel: 3 }, {}, { param: 'unconditionalLabel' }],
    ['pictures of four channels', { format: 'png' }, { channels: 4 }, { param: 'format', status: 422 }],
  ])('is refused with %s', (_, more, model, error) => {
    expect(() => newJob({ ...body, ...more }, served(model), own)).toThrow(expect.objectContaining(error) as Error);
    for (const right of [{}, { guidance: 2, unconditionalLabel: 9 }, { guidance: 0, unconditionalLabel: null }]) {
      expect(() => newJob({ ...body, ...right }, served(), own)).not.toThrow();
    }
    const { classLabels: _labels, ...unlabelled } = body;
    expect(() => newJob({ ...unlabelled, guidance: 1 }, served({ classes: 0 }), own)).not.toThrow();
  });

  it('has at most 4096 chunks, of samples below 2^32', () => {
    const many = { ...body, chunk: 1, count: 4096 };
    expect(chunkCount(newJob(many, served(), own))).toBe(4096);
    expect(() => newJob({ ...many, count: 4097 }, served(), own)).toThrow(/4097 chunks are more than 4096/);
    expect(() => newJob({ ...body, first: 2 ** 32 - 100 }, served(), own)).not.toThrow();
    const beyond = expect.objectContaining({ param: 'first' }) as Error;
    expect(() => newJob({ ...body, first: 2 ** 32 - 99 }, served(), own)).toThrow(beyond);
  });

  it('has at most 256 samples in a chunk, and a million in all', () => {
    const asked = { model: 'm', count: 1_000_000, chunk: 256 };
    expect(mismatchOf(jobBodySchema, asked)).toBeUndefined();
    expect(mismatchOf(jobBodySchema, { ...asked, chunk: 257 })).toMatchObject({ field: 'chunk' });
    expect(mismatchOf(jobBodySchema, { ...asked, count: 1_000_001 })).toMatchObject({ field: 'count' });
  });

  it('needs the scope for a high priority', () => {
    const client = { ...own.client, scopes: new Set(['jobs'] as const) };
    expect(() => newJob({ ...body, priority: 'high' }, served(), { ...own, client })).toThrow("scope 'priority'");
  });

  it('stands for what was asked, whatever the order of its fields', () => {
    const { asked } = newJob(body, served(), own);
    const { count, ...others } = body;
    expect(newJob({ count, ...others }, served(), own).asked).toBe(asked);
    expect(newJob({ ...body, steps: 11 }, served(), own).asked).not.toBe(asked);
    expect(newJob(body, { ...served(), digest: 'cd'.repeat(32) }, own).asked).not.toBe(asked);
    // This holds for drawn seeds, too.
    const { seed: _, ...unseeded } = body;
    const drawn = [newJob(unseeded, served(), own), newJob(unseeded, served(), own)] as const;
    expect(drawn[0].asked).toBe(drawn[1].asked);
    expect(drawn[0].body.seed).not.toBe(drawn[1].body.seed);
  });
});

it('gives every chunk its samples, labels and weights', () => {
  const classLabels = Array.from({ length: 10 }, (_, i) => i);
  const job = jobOf({
    body: { model: 'm', count: 10, chunk: 4, seed: '1', first: 100, classLabels, guidance: 2, format: 'png' },
  });
  expect([0, 1, 2].map((chunk) => chunkRequest(job, chunk))).toEqual([
    { model: 'm', seed: '1', first: 100, count: 4, classLabels: [0, 1, 2, 3], guidance: 2 },
    { model: 'm', seed: '1', first: 104, count: 4, classLabels: [4, 5, 6, 7], guidance: 2 },
    { model: 'm', seed: '1', first: 108, count: 2, classLabels: [8, 9], guidance: 2 },
  ]);
});

it('refuses labels and guidance in the words of the library', () => {
  const message = (more: object, classes = 10): string => {
    try {
      newJob({ ...body, ...more }, served({ classes }), own);
    } catch (error) {
      return (error as Error).message;
    }
    return 'none';
  };
  expect(message({ classLabels: 10 })).toBe('a class label is 10, it has to be an integer from 0 to 9');
  expect(message({ classLabels: undefined })).toBe('the network has 10 classes: give classLabels');
  expect(message({ guidance: [1, 2] })).toBe('guidance has 2 weights for 100 samples');
  expect(message({ guidance: 2, classLabels: undefined }, 0)).toMatch(/^guidance needs a class-conditional network/);
  expect(message({ unconditionalLabel: 3 })).toBe('unconditionalLabel is for guidance other than 1');
});

it('leaves out the label for no class where a chunk has no guidance', () => {
  const guidance = [1, 1, 1 + 1e-9, 1, 1, 2, 1, 1, 1, 1];
  const job = jobOf({ body: { model: 'm', count: 10, chunk: 4, seed: '1', guidance, unconditionalLabel: 5 } });
  const labels = [0, 1, 2].map((chunk) => chunkRequest(job, chunk).unconditionalLabel);
  expect(labels).toEqual([undefined, 5, undefined]);
});

it('shows what is asked for and what is there', () => {
  const { createdAt, id, ...job } = jobOf({ body: { model: 'm', count: 10, chunk: 4, seed: '7', first: 100 } });
  const failures = [{ chunk: 2, code: 'ERR_DPM_INTERNAL', message: 'no' }];
  const state = { job: { ...job, createdAt, id }, state: 'running', doneChunks: 1, failures } as const;
  const view = {
    id,
    object: 'job',
    state: 'running',
    done: 4,
    total: 10,
    chunks: 3,
    chunk: 4,
    failedChunks: failures,
    createdAt,
    // A third of the rows is left.
    expectedSeconds: 3.333,
    model: 'm',
    digest: job.digest,
    engine: 'cpu-test',
    sampler: 'scheduler',
    seed: '7',
    first: 100,
    priority: 'low',
    shape: [1, 2, 2],
    format: 'npy',
  };
  expect(viewOf(state, 10)).toEqual(view);
  expect(viewOf(state, undefined)).toEqual({ ...view, expectedSeconds: null });
  expect(viewOf({ ...state, job: { ...state.job, rows: 0 } }, 10)).toEqual({ ...view, expectedSeconds: null });
  const done = { ...state, state: 'done', doneChunks: 3, failures: [] } as const;
  expect(viewOf(done, 10)).toEqual({ ...view, state: 'done', done: 10, failedChunks: [], expectedSeconds: 0 });
  const given = { sampler: 'ddim', priority: 'high', format: 'png' } as const;
  const others = { ...state, job: { ...state.job, body: { ...job.body, ...given } } };
  expect(viewOf(others, 10)).toEqual({ ...view, ...given });
});

describe('the place of a chunk', () => {
  const job = jobOf();
  const { body: given } = job;
  it('is the same for the same samples', () => {
    expect(chunkKey(job, 1)).toMatch(/^abababababab\/[0-9a-f]{64}\/4-4\.npy$/);
    const same = [
      jobOf({ tenant: 'other', body: { ...given, priority: 'high', model: 'alias' } }),
      jobOf({ body: { ...given, count: 8 } }),
      jobOf({ body: { ...given, first: 4 } }),
    ];
    expect(chunkKey(same[0]!, 1)).toBe(chunkKey(job, 1));
    expect(chunkKey(same[1]!, 1)).toBe(chunkKey(job, 1));
    expect(chunkKey(same[2]!, 0)).toBe(chunkKey(job, 1));
  });

  it.each<[string, Parameters<typeof jobOf>[0]]>([
    ['digest', { digest: 'cd'.repeat(32) }],
    ['engine', { engine: 'cpu-other' }],
    ['seed', { body: { ...given, seed: '8' } }],
    ['steps', { body: { ...given, steps: 3 } }],
    ['sampler', { body: { ...given, sampler: 'ddim' } }],
    ['options', { body: { ...given, options: { order: 2 } } }],
    ['classLabels', { body: { ...given, classLabels: 1 } }],
    ['guidance', { body: { ...given, guidance: 2 } }],
    ['unconditionalLabel', { body: { ...given, unconditionalLabel: 1 } }],
    ['dtype', { body: { ...given, dtype: 'f32' } }],
    ['format', { body: { ...given, format: 'safetensors' } }],
    ['chunk', { body: { ...given, chunk: 5 } }],
    ['first', { body: { ...given, first: 1 } }],
  ])('is another for another %s', (_, fields) => {
    expect(chunkKey(jobOf(fields), 0)).not.toBe(chunkKey(job, 0));
  });
});

it('has one queue for a model and a class of engines', () => {
  expect(queueOf(jobOf())).toBe('dpm-abababababab-cpu-test');
  expect(queueOf(jobOf({ engine: 'any' }))).toBe('dpm-abababababab-any');
});

it.each<[string, Loose, string, string]>([
  ['a cpu', {}, 'amx, 2 threads', 'cpu-amx-f32'],
  ['a cpu with bfloat16', { dtype: 'bf16', exact: true }, 'avx2, 1 threads', 'cpu-avx2-bf16-exact'],
  [
    'a card',
    {},
    'NVIDIA H100 80GB HBM3, compute capability 9.0',
    'cuda-nvidia-h100-80gb-hbm3-compute-capability-9.0-bf16',
  ],
  ['an exact card', { exact: true }, 'GPU', 'cuda-gpu-f32-exact'],
])('tells the class of %s', (kind, config, description, expected) => {
  const name = kind.includes('card') ? 'cuda:1' : 'cpu';
  const model = { ...served(), config, model: { device: { name, description } } } as unknown as ServedModel;
  expect(engineClass(model)).toMatch(new RegExp(`^${expected.replaceAll('.', '\\.')}-\\d+\\.\\d+\\.\\d+$`));
});

it('makes one id of a tenant and a key', () => {
  const id = keyedId('a', 'key');
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(keyedId('a', 'key')).toBe(id);
  expect(new Set([id, keyedId('b', 'key'), keyedId('a', 'yek'), keyedId('ak', 'ey')]).size).toBe(4);
  expect(hashOf({ a: 1, b: [{ d: 1, c: 2 }] })).toBe(hashOf({ b: [{ c: 2, d: 1 }], a: 1 }));
});

describe.each(chunkFormats)('images of chunks in %s', (format) => {
  it.each(['u8', 'f32'] as const)('are those that were drawn, as %s', (dtype) => {
    const shape = [3, 3, 5] as const;
    const values = Float32Array.from({ length: 5 * 45 }, (_, i) => Math.sin(i));
    const images = new ImageBatch(values, [5, ...shape]);
    const isFloat = dtype === 'f32' && format !== 'png';
    const chunk = encoded({
      form: contentTypes[format],
      images: { values: isFloat ? values : images.toUint8(), shape: [5, ...shape], range: [-1, 1] },
    });
    const job = jobOf({ shape: [...shape], body: { model: 'm', count: 12, chunk: 7, seed: '1', format, dtype } });
    for (const [i, image] of [...images].entries()) {
      expect(imageOfChunk({ job, sample: 7 + i, chunk }).toUint8()).toEqual(image.toUint8());
    }
  });
});

it('reads pictures of many images beside the event loop', async () => {
  const shape = [3, 64, 64] as const;
  const images = { values: new Uint8Array(64 * 3 * 64 * 64), shape: [64, ...shape] as const, range: [-1, 1] as const };
  const chunk = encoded({ form: 'image/png', images });
  const job = jobOf({ shape: [...shape], body: { model: 'm', count: 64, seed: '1', format: 'png' } });
  const pool = new ThreadPool();
  let turns = 0;
  const turning = setInterval(() => ++turns, 0);
  const png = await pool.pngOfChunk({ job, sample: 9, chunk });
  clearInterval(turning);
  expect(decode(png)).toMatchObject({ width: 64, height: 64, channels: 3 });
  expect(turns).toBeGreaterThan(2);
  await pool.close();
});

it('refuses a chunk that was cut', () => {
  const job = jobOf({ body: { model: 'm', count: 1, seed: '1' } });
  const whole = encoded({
    form: 'application/x-npy',
    images: { values: new Uint8Array(4), shape: [1, 1, 2, 2], range: [-1, 1] },
  });
  expect(imageOfChunk({ job, sample: 0, chunk: whole }).count).toBe(1);
  expect(() => imageOfChunk({ job, sample: 0, chunk: whole.subarray(0, -1) })).toThrow('bytes of values');
});
