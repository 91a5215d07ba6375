// Jobs of texts: their chunks are the library's images, whatever else the server draws.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import { ask, expectProblem, until, type Answer } from '../support.js';
import { base64, floatsOf, imagesOf, lora, picture, pipeline, post, server, servePrompts } from './serving.js';

const spool = mkdtempSync(join(tmpdir(), 'spool-'));
servePrompts({ spool });
afterAll(() => {
  rmSync(spool, { recursive: true });
});

const add = (more: object = {}): Promise<Answer> =>
  post('/v1/jobs', {
    ...{ model: 'pipe', sampler: 'ddim', steps: 3, seed: '7', size: '16x16', prompt: 'a cat', count: 5, chunk: 2 },
    ...{ dtype: 'f32', ...more },
  });

const get = (path: string): Promise<Answer> => ask(server, 'GET', path);

/** The values of all chunks of a job that is done. */
async function drawn(answer: Answer): Promise<Float32Array> {
  expect(answer.status).toBe(202);
  const place = `/v1/jobs/${answer.json.id as string}`;
  await until(async () => (await get(place)).json.state === 'done', 20_000);
  const chunks = Array.from({ length: answer.json.chunks as number }, (_, k) => get(`${place}/chunks/${k}`));
  return Float32Array.from((await Promise.all(chunks)).flatMap((chunk) => [...floatsOf(chunk)]));
}

const own = { sampler: 'ddim', steps: 3, seed: 7, height: 16, width: 16 } as const;

describe('a job of texts', () => {
  it('draws one text for all images, or one for each', async () => {
    const one = await add();
    expect(one.json).toMatchObject({ shape: [3, 16, 16], total: 5, chunks: 3 });
    expect(await drawn(one)).toEqual(imagesOf(await pipeline.generate({ ...own, prompt: 'a cat', count: 5 })));
    const prompt = ['a', 'b', 'c', 'd', 'e'];
    const [negativePrompt, guidance] = [[...prompt].reverse(), [1, 2, 3, 4, 5]];
    expect(await drawn(await add({ prompt, negativePrompt, guidance }))).toEqual(
      imagesOf(await pipeline.generate({ ...own, prompt, negativePrompt, guidance })),
    );
  });

  it('adds LoRAs, and has one image after the other', async () => {
    const answer = await add({ loras: [{ name: 'style' }], count: 3 });
    await pipeline.setLoras([{ path: lora }]);
    const expected = await pipeline.generate({ ...own, prompt: 'a cat', count: 3 });
    await pipeline.setLoras([]);
    expect(await drawn(answer)).toEqual(imagesOf(expected));
    const image = await get(`/v1/jobs/${answer.json.id as string}/images/2`);
    expect(image.bytes).toEqual(Buffer.from(expected.images!.slice(2, 3).toPng()));
  });

  it('is refused where a field is wrong, before anything is drawn', async () => {
    for (const [body, param] of [
      [{ prompt: undefined }, 'prompt'],
      [{ prompt: ['a', 'b'] }, 'prompt'],
      [{ negativePrompt: ['a', 'b'] }, 'negativePrompt'],
      [{ size: '40x40' }, 'size'],
      [{ image: base64(picture) }, 'image'],
      [{ strength: 0.5 }, 'strength'],
      [{ loras: [{ name: 'other' }] }, 'loras/0/name'],
      [{ classLabels: 1 }, 'classLabels'],
    ] as const) {
      const answer = await add(body);
      expectProblem(answer, 400, 'ERR_DPM_ARGUMENT');
      expect(answer.json.param).toBe(param);
    }
    expectProblem(await post('/v1/jobs', { model: 'mnist', count: 1, prompt: 'a' }), 400, 'ERR_DPM_ARGUMENT');
  });

  it('counts its rows as the batch counts them', async () => {
    const rows = async (more: object): Promise<number> => {
      const { json } = await add({ count: 60, chunk: 30, steps: 40, ...more });
      const id = json.id as string;
      await ask(server, 'DELETE', `/v1/jobs/${id}`);
      return (JSON.parse(readFileSync(join(spool, id, 'job.json'), 'utf8')) as { rows: number }).rows;
    };
    const [guided, plain] = [await rows({}), await rows({ guidance: 1 })];
    expect(guided).toBe(2 * plain);
    const mixed = await rows({ guidance: Array.from({ length: 60 }, (_, i) => (i < 30 ? 1 : 4)) });
    expect(mixed).toBe(1.5 * plain);
  });
});
