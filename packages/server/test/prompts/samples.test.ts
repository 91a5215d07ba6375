// Images of texts over HTTP: those of the library, whoever shares their batch, and what is refused.
import { describe, expect, it } from 'vitest';

import { ImageBatch } from 'dpm-native';

import { eventsOf } from '../described.js';
import { ask, expectProblem } from '../support.js';
import {
  base64,
  drawn,
  floatsOf,
  imagesOf,
  lora,
  mask,
  npy,
  picture,
  pipeline,
  post,
  server,
  servePrompts,
} from './serving.js';

servePrompts();

const own = { sampler: 'ddim', steps: 3, seed: 7, height: 16, width: 16 } as const;

describe('POST /v1/samples of a pipeline', () => {
  it('draws what the library draws, of texts, steps, samplers and sizes that share batches', async () => {
    const asked = [
      [{}, {}],
      [
        { prompt: 'a dog', seed: 2, steps: 5 },
        { prompt: 'a dog', seed: 2, steps: 5 },
      ],
      [
        { prompt: ['a cat', 'a bird'], negativePrompt: 'blurry', guidance: [2, 5], sampler: 'unipc' },
        { prompt: ['a cat', 'a bird'], negativePrompt: 'blurry', guidance: [2, 5], sampler: 'unipc' },
      ],
      [
        { size: '24x16', guidanceRescale: 0.5 },
        { width: 24, guidanceRescale: 0.5 },
      ],
      [
        { longPrompts: 'chunks', skippedLayers: 1 },
        { longPrompts: 'chunks', skippedLayers: 1 },
      ],
      [
        { first: 4, count: 2 },
        { first: 4, count: 2 },
      ],
    ] as const;
    const answers = await Promise.all(asked.map(([body]) => drawn({ ...body, dtype: 'f32' }, npy)));
    for (const [i, [, options]] of asked.entries()) {
      const expected = await pipeline.generate({ ...own, prompt: 'a cat', ...options });
      expect(answers[i]!.status).toBe(200);
      expect(floatsOf(answers[i]!), `request ${i}`).toEqual(imagesOf(expected));
    }
    expect(answers[0]!.headers.get('dpm-seed')).toBe('7');
  });

  it("takes the pipeline's own steps, weight and size where nothing is said", async () => {
    const { headers } = await post('/v1/samples', { model: 'pipe', prompt: 'a cat', seed: 7 }, npy);
    const plain = await post('/v1/samples', { model: 'pipe', prompt: 'a cat', seed: 7, dtype: 'f32' }, npy);
    expect(floatsOf(plain)).toEqual(imagesOf(await pipeline.generate({ prompt: 'a cat', seed: 7 })));
    // 50 steps of PNDM are 51 evaluations, each of both texts.
    expect(headers.get('dpm-evaluations')).toBe('102');
    const own = await drawn({ options: { eta: 1 }, dtype: 'f32' }, npy);
    expect(floatsOf(own)).not.toEqual(floatsOf(await drawn({ dtype: 'f32' }, npy)));
  });

  it('begins with pictures, draws what a mask says anew, and adds LoRAs by their names', async () => {
    const image = base64(picture);
    const start = picture;
    const [begun, masked, styled] = await Promise.all([
      drawn({ image, strength: 0.5, dtype: 'f32', size: undefined }, npy),
      drawn({ image, mask: base64(mask), dtype: 'f32' }, npy),
      drawn({ loras: [{ name: 'style', scale: 0.5 }], dtype: 'f32' }, npy),
    ]);
    const prompt = 'a cat';
    expect(floatsOf(begun)).toEqual(imagesOf(await pipeline.generate({ ...own, prompt, image: start, strength: 0.5 })));
    expect(floatsOf(masked)).toEqual(
      imagesOf(await pipeline.generate({ ...own, prompt, image: start, mask: mask.data })),
    );
    await pipeline.setLoras([{ path: lora, scale: 0.5 }]);
    expect(floatsOf(styled)).toEqual(imagesOf(await pipeline.generate({ ...own, prompt })));
    await pipeline.setLoras([]);
    expect(floatsOf(styled)).not.toEqual(floatsOf(await drawn({ dtype: 'f32' }, npy)));
  });

  it('tells of images as they form', async () => {
    const answer = await drawn({ preview: { every: 1 } }, { accept: 'text/event-stream' });
    const events = eventsOf(answer.bytes.toString());
    expect(events.filter(([event]) => event === 'preview')).toHaveLength(3);
    const image = events.find(([event]) => event === 'image');
    const bytes = Buffer.from(image?.[1].b64 as string, 'base64');
    const expected = await pipeline.generate({ ...own, prompt: 'a cat' });
    expect((await ImageBatch.decode(bytes)).toUint8()).toEqual(expected.images!.toUint8());
    expect(events.at(-1)?.[0]).toBe('done');
  });

  it('refuses what is wrong by its field', async () => {
    for (const [body, param, detail] of [
      [{ prompt: undefined }, 'prompt', 'prompt is missing'],
      [{ prompt: ['a', 'b'], count: 3 }, 'prompt', 'prompt has 2 texts for 3 samples'],
      [{ negativePrompt: ['a', 'b'] }, 'negativePrompt', 'negativePrompt has 2 texts for 1 samples'],
      [{ prompt: 'x'.repeat(4097) }, 'prompt', /prompt/],
      [{ size: '40x40' }, 'size', 'size is 40x40, this model draws 32x32, 16x16, 24x16'],
      [{ size: 'large' }, 'size', /size/],
      [{ classLabels: 1 }, 'classLabels', 'classLabels is not for pipe, which draws images of texts'],
      [{ unconditionalLabel: 1 }, 'unconditionalLabel', /images of texts/],
      [{ loras: [{ name: 'other' }] }, 'loras/0/name', 'loras/0/name has to be one of style'],
      [{ loras: [{ name: 'style' }, { name: 'other' }] }, 'loras/1/name', 'loras/1/name has to be one of style'],
      [{ loras: [{ name: 'constructor' }] }, 'loras/0/name', 'loras/0/name has to be one of style'],
      [{ strength: 0.5 }, 'strength', 'strength is for image, which is missing'],
      [{ mask: base64(mask) }, 'mask', 'mask is for image, which is missing'],
      [{ image: { b64: 'AAAA' } }, 'image', /image: the picture: this is neither PNG nor JPEG/],
      [{ image: base64(picture), size: '32x32' }, 'image', 'image has 16x16 pixels, the size is 32x32'],
      [{ image: base64(picture), mask: base64(new ImageBatch(new Uint8Array(64), [1, 1, 8, 8])) }, 'mask', /8x8/],
      [{ image: base64(picture), mask: base64(new ImageBatch(new Uint8Array(128), [1, 1, 16, 8])) }, 'mask', /8x16/],
      [
        { image: base64(new ImageBatch(new Uint8Array(40 * 40), [1, 1, 40, 40])) },
        'image',
        'image: the picture: it has 40 x 40 pixels, at most 1024 are read',
      ],
      [{ guidance: [1, 2] }, 'guidance', 'guidance has 2 elements for 1 samples'],
      [{ sampler: 'npr-ddim' }, undefined, /second output 'npr'/],
      [{ options: { sparkle: 1 } }, 'options/sparkle', /no option/],
    ] as const) {
      const answer = await drawn(body);
      expectProblem(answer, 400, 'ERR_DPM_ARGUMENT');
      expect(answer.json.param).toBe(param);
      if (typeof detail === 'string') expect(answer.json.detail).toBe(detail);
      else expect(answer.json.detail).toMatch(detail);
    }
    const pixels = await post('/v1/samples', { model: 'mnist', prompt: 'a cat' });
    expectProblem(pixels, 400, 'ERR_DPM_ARGUMENT');
    expect(pixels.json.detail).toBe('prompt is for models that draw images of texts, mnist does not');
  });

  it('is the same answer for the same key, and a wrong one for another text', async () => {
    const keyed = { 'idempotency-key': 'text', ...npy };
    const first = await drawn({ seed: undefined }, keyed);
    const again = await drawn({ seed: undefined }, keyed);
    expect(again.bytes).toEqual(first.bytes);
    expectProblem(await drawn({ seed: undefined, prompt: 'a dog' }, keyed), 422, 'ERR_DPM_IDEMPOTENCY');
  });
});

describe('a pipeline among the models', () => {
  it('tells what its requests may say', async () => {
    const { json } = await ask(server, 'GET', '/v1/models/pipe');
    expect(json).toMatchObject({
      kind: 'prompts',
      shape: [3, 32, 32],
      classes: 0,
      prompts: { sizes: ['32x32', '16x16', '24x16'], steps: 50, guidance: 7.5, loras: ['style'], previews: true },
    });
    expect(json.samplers).not.toContain('npr-ddim');
    expect(json.samplers).not.toContain('analytic-ddim');
    expect((await ask(server, 'GET', '/v1/models/mnist')).json).toMatchObject({ kind: 'pixels' });
  });

  it('has no tensors for the protocol of evaluations', async () => {
    const { status, json } = await ask(server, 'GET', '/v2/models/pipe');
    expect(status).toBe(422);
    expect(json.error).toMatch(/pipe draws images of texts/);
  });

  it('counts', async () => {
    const before = (await ask(server, 'GET', '/metrics')).bytes.toString();
    expect(before).toMatch(/dpm_samples_total\{model="pipe",sampler="ddim"\} \d+/);
    expect(before).toMatch(/dpm_backlog_seconds\{model="pipe"\} 0/);
  });
});
