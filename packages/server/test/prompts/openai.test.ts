// Images of texts by OpenAI's client.
import OpenAI, { toFile } from 'openai';
import { describe, expect, it } from 'vitest';

import { ImageBatch } from 'dpm-native';

import { mask, picture, pipeline, server, servePrompts } from './serving.js';

servePrompts();

const client = (): OpenAI => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
/** What the client knows, and what it passes on. */
const own = { model: 'pipe', size: '16x16', sampler: 'ddim', steps: 3, seed: 7, prompt: 'a cat' };
const options = { sampler: 'ddim', steps: 3, seed: 7, height: 16, width: 16, prompt: 'a cat' } as const;

async function levelsOf(answer: { data?: { b64_json?: string }[] }): Promise<Uint8Array[]> {
  return Promise.all(
    (answer.data ?? []).map(async ({ b64_json: b64 = '' }) =>
      (await ImageBatch.decode(Buffer.from(b64, 'base64'))).toUint8(),
    ),
  );
}

async function expected(more: object = {}): Promise<Uint8Array[]> {
  const { images } = await pipeline.generate({ ...options, ...more });
  return [...images!].map((image) => image.toUint8());
}

const png = (image: ImageBatch, name: string) => toFile(image.toPng(), name, { type: 'image/png' });

describe("OpenAI's client", () => {
  it('draws images of a text', async () => {
    const answer = await client().images.generate({ ...own, n: 2 } as never);
    expect(await levelsOf(answer as never)).toEqual(await expected({ count: 2 }));
    expect(answer).toMatchObject({ size: '16x16' });
    const away = await client().images.generate({ ...own, negative_prompt: 'a dog', guidance: 3 } as never);
    expect(await levelsOf(away as never)).toEqual(await expected({ negativePrompt: 'a dog', guidance: 3 }));
  });

  it('takes the steps of a quality, and else those of the pipeline', async () => {
    const asked = { ...own, size: 'auto', steps: undefined };
    const size = { height: 32, width: 32 };
    expect(await levelsOf((await client().images.generate({ ...asked, quality: 'low' } as never)) as never)).toEqual(
      await expected({ ...size, steps: 10 }),
    );
    for (const quality of ['auto', 'medium']) {
      const answer = await client().images.generate({ ...asked, quality } as never);
      expect(await levelsOf(answer as never)).toEqual(await expected({ ...size, steps: 50 }));
    }
  });

  it('gets images as they form', async () => {
    const stream = await client().images.generate({ ...own, stream: true, partial_images: 2 } as never);
    const types: string[] = [];
    for await (const { type } of stream as unknown as AsyncIterable<{ type: string }>) types.push(type);
    expect(types).toEqual([
      ...['image_generation.partial_image', 'image_generation.partial_image'].slice(0, types.length - 1),
      'image_generation.completed',
    ]);
    expect(types.length).toBeGreaterThan(1);
  });

  it('edits pictures, wholly or where they are transparent', async () => {
    const image = await png(picture, 'image.png');
    const begun = await client().images.edit({ ...own, image, strength: 0.5, size: undefined } as never);
    expect(await levelsOf(begun as never)).toEqual(await expected({ image: picture, strength: 0.5 }));
    const masked = await client().images.edit({ ...own, image: [image], mask: await png(mask, 'mask.png') } as never);
    expect(await levelsOf(masked as never)).toEqual(await expected({ image: picture, mask: mask.data }));
  });

  it('is told what is wrong', async () => {
    const image = await png(picture, 'image.png');
    const refused = async (work: Promise<unknown>): Promise<object> =>
      work.then(
        () => ({}),
        (error: unknown) => error as object,
      );
    const { images } = client();
    const wrong = { status: 400, code: 'ERR_DPM_ARGUMENT' };
    expect(await refused(images.generate({ ...own, size: '512x512' } as never))).toMatchObject({
      ...wrong,
      param: 'size',
    });
    expect(await refused(images.edit({ ...own, image, model: 'mnist' } as never))).toMatchObject({
      ...wrong,
      param: 'model',
    });
    expect(await refused(images.edit({ ...own, image, strength: 2 } as never))).toMatchObject({
      ...wrong,
      param: 'strength',
    });
    expect(
      await refused(images.edit({ ...own, image: await toFile(Buffer.from('no'), 'x.png') } as never)),
    ).toMatchObject({
      ...wrong,
      param: 'image',
    });
    expect(await refused(images.edit({ ...own, image: [image, image] } as never))).toMatchObject(wrong);
    expect(
      await refused(images.generate({ ...own, model: 'mnist', negative_prompt: 'a', size: 'auto' } as never)),
    ).toMatchObject({ ...wrong, param: 'negative_prompt' });
  });
});

describe('a form', () => {
  const edits = (body: string | FormData, type?: string): Promise<Response> =>
    fetch(`${server.url}/v1/images/edits`, {
      method: 'POST',
      body,
      ...(type !== undefined && { headers: { 'content-type': type } }),
    });
  const form = (fields: Record<string, string | Blob>): FormData => {
    const made = new FormData();
    for (const [name, value] of Object.entries(fields)) made.append(name, value);
    return made;
  };
  const file = (): Blob => new Blob([Uint8Array.from(picture.toPng())]);

  it('that has a field twice is refused', async () => {
    const twice = form({ model: 'pipe', prompt: 'a', image: file() });
    twice.append('prompt', 'b');
    expect(await (await edits(twice)).json()).toMatchObject({ error: { message: 'prompt is there twice' } });
  });

  it('that is cut off, none, or has what it may not have is refused', async () => {
    for (const [answer, status, message] of [
      [await edits('{}', 'application/json'), 415, /multipart/],
      [await edits('--a\r\n', 'multipart/form-data; boundary=a'), 400, /cannot be read/],
      [await edits('x', 'multipart/form-data'), 400, /cannot be read|boundary/i],
      [await edits(form({ model: 'pipe', prompt: 'a' })), 400, /image is missing/],
      [await edits(form({ model: 'pipe', prompt: 'a', image: 'text' })), 400, /image has to be a file/],
      [await edits(form({ model: 'pipe', prompt: 'a', other: file() })), 400, /other is no file/],
      [await edits(form({ model: 'pipe', prompt: 'a', sparkle: '1', image: file() })), 400, /sparkle/],
      [await edits(form({ model: 'pipe', prompt: 'a', n: 'many', image: file() })), 400, /n /],
      [await edits(form({ model: 'pipe', prompt: 'a', seed: ' ', image: file() })), 400, /seed/],
      [await edits(form({ model: 'none', prompt: 'a', image: file() })), 404, /no model/],
      [await edits(form({ model: 'pipe', prompt: 'a', image: new Blob([new Uint8Array(2 ** 24 + 1)]) })), 413, /form/],
      [await edits(form({ ...Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, ''])) })), 413, /form/],
      [
        await edits(form({ __proto__: 'x', constructor: 'x', model: 'pipe', prompt: 'a', image: file() })),
        400,
        /a name that no field has/,
      ],
    ] as const) {
      const body = (await answer.json()) as { error: { message: string } };
      expect([answer.status, body.error.message]).toEqual([status, expect.stringMatching(message)]);
    }
    // The server goes on.
    expect((await edits(form({ ...own, steps: '3', seed: '7', image: file() }))).status).toBe(200);
  });
});
