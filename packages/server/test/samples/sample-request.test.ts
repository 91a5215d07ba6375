// What a body asks of a batcher, what is decoded of its pictures, and the spans of its run.
import { expect, it, vi } from 'vitest';

import { anybody } from '../../src/base/client.js';
import type { ServedModel } from '../../src/models/served.js';
import type { Tracing } from '../../src/observe/tracing.js';
import { decodedPictures, type EncodedPicture } from '../../src/samples/pictures.js';
import { optionsOf, samplingOf, type SampleBody, type Sampling } from '../../src/samples/sample-request.js';
import { SamplingTrace } from '../../src/samples/sampling-trace.js';

const stream = vi.fn();
const served = {
  kind: 'pixels',
  id: 'm',
  model: { sampleShape: [1, 2, 2], unet: { info: { classes: 10 } } },
  batcher: { stream },
} as unknown as ServedModel;
const client = { ...anybody, name: 'shop', weight: 3 };
const body: SampleBody = { model: 'm', count: 4, preview: { every: 2, of: 'prediction' }, unconditionalLabel: 5 };

it('the batcher gets what the body and its client say', () => {
  const { signal } = new AbortController();
  samplingOf(body, served, { client, isStream: true }).events(signal);
  expect(stream.mock.lastCall).toEqual([
    expect.objectContaining({ count: 4, tenant: 'shop', weight: 3, unconditionalLabel: 5, signal }),
  ]);
  expect(stream.mock.lastCall).toEqual([expect.objectContaining({ previewEvery: 2, previewOf: 'prediction' })]);
});

it('labels are one for all samples, or one for each', () => {
  const of = (classLabels: number[]) => (): Sampling =>
    samplingOf({ ...body, classLabels }, served, { client, isStream: true });
  expect(of([1, 2, 3])).toThrow('classLabels has 3 elements for 4 samples');
  expect(of([1, 2, 3, 4])).not.toThrow();
});

it('steps that the options tell otherwise are none', () => {
  const [levels, solver] = [[3, 2, 1], 'rk45'];
  expect(optionsOf('ddim', { options: { levels } })).toEqual({ levels });
  expect(optionsOf('probability-flow', { options: { solver } })).toEqual({ solver });
});

it('pictures have at most the pixels of the largest image, those of other models hardly any', async () => {
  const decode = vi.fn((_: EncodedPicture) => Promise.reject(new Error('not decoded')));
  const image = Uint8Array.of(1);
  const model = { sampleShape: [3, 32, 32] };
  const prompts = { kind: 'prompts', model, config: { sizes: ['64x16', '16x96'] } } as unknown as ServedModel;
  for (const each of [prompts, served]) await decodedPictures({ image }, each, { decode }).catch(() => undefined);
  expect(decode.mock.calls.map(([{ mostPixels }]) => mostPixels)).toEqual([1536, 1]);
});

it('a run that fails began with its first progress', () => {
  const record = vi.fn<(parent: unknown, span: { from: number; to: number }) => void>();
  const now = vi.spyOn(performance, 'now');
  for (const time of [10, 20, 30, 40]) now.mockReturnValueOnce(time);
  const trace = new SamplingTrace({ record } as unknown as Tracing, undefined, { served, sampler: 'ddim' } as Sampling);
  for (const done of [1, 2]) trace.see({ type: 'progress', done, total: 8 });
  trace.end({ error: new Error('failed') });
  now.mockRestore();
  const times = record.mock.calls.map(([, { from, to }]) => [from, to]);
  expect(times[0]).toEqual([10, 20]);
  expect(times[1]![0]).toBe(20);
});
