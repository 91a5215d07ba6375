// Tests of what may be asked for: the range of steps stands once, and other APIs have the fields of ours.
import { optionFacts } from 'dpm-native';
import { describe, expect, it } from 'vitest';

import { stepsRange } from '../../../src/samples/sample-request.js';
import { get, post, serveDigits, server } from '../../support.js';

serveDigits();

type Fields = Record<string, Record<string, unknown>>;

async function bodyOf(path: string): Promise<Fields> {
  const { paths } = (await get('/openapi.json')).json as {
    paths: Record<string, { post: { requestBody: { content: Record<string, { schema: { properties: Fields } }> } } }>;
  };
  return paths[path]!.post.requestBody.content['application/json']!.schema.properties;
}

describe('the range of steps', () => {
  it.each([
    ['/v1/samples', 'steps'],
    ['/v1/images/generations', 'steps'],
    ['/v1/images/generations', 'num_inference_steps'],
  ])('is that of %s, %s', async (path, field) => {
    const { [field]: described } = await bodyOf(path);
    expect(described).toMatchObject({ type: 'integer', ...stepsRange });
    for (const steps of [stepsRange.minimum - 1, stepsRange.maximum + 1]) {
      const { status, json } = await post(path, { model: 'mnist', [field]: steps });
      expect({ status, text: JSON.stringify(json) }).toEqual({
        status: 400,
        text: expect.stringContaining(field) as string,
      });
    }
  });

  it('is that of the page and of its previews', async () => {
    const page = await (await fetch(server.url)).text();
    expect(page).toContain(`data-least-steps="${stepsRange.minimum}"`);
    expect(page).toContain(`data-most-steps="${stepsRange.maximum}"`);
    const { preview, count } = await bodyOf('/v1/samples');
    expect(page).toContain(`data-most-samples="${String(count!.maximum)}"`);
    expect((preview!.properties as Fields).every).toMatchObject({ maximum: stepsRange.maximum });
  });
});

describe('images as OpenAI has them', () => {
  const { run } = optionFacts;
  const waysOf = (schema: unknown): Record<string, unknown>[] => (schema as { anyOf: Record<string, unknown>[] }).anyOf;

  it('have the fields of the library, each of one type', async () => {
    const fields = await bodyOf('/v1/images/generations');
    const { seed, n, guidance, guidance_scale: scale } = fields;
    expect(seed).toMatchObject(waysOf(run.seed.schema).find(({ type }) => type === 'integer')!);
    expect(seed).not.toHaveProperty('anyOf');
    expect(guidance).toMatchObject(waysOf(run.guidance.schema).find(({ type }) => type === 'number')!);
    expect(scale).toEqual(guidance);
    expect(n).toMatchObject({ ...run.count.schema, maximum: 10 });
    for (const [field, { help }] of [
      [seed, run.seed],
      [guidance, run.guidance],
      [n, run.count],
    ] as const) {
      expect(String(field?.description).toLowerCase()).toContain(help.toLowerCase());
    }
    expect(fields.steps?.description).toBe('Number of network evaluations; default that of the quality.');
  });

  it.each([
    ['seed', '7'],
    ['seed', 2 ** 53],
    ['seed', -1],
    ['guidance', [1]],
    ['guidance_scale', '2'],
    ['n', 11],
    ['n', 0],
  ])('refuse %s %j', async (field, value) => {
    const { status, json } = await post('/v1/images/generations', { model: 'mnist', [field]: value });
    expect(status).toBe(400);
    expect((json.error as { param: string }).param).toBe(field);
  });
});
