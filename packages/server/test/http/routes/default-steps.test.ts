// Tests of the default number of steps: it stands in the library alone, and the whole server uses it.
import { expect, it, vi } from 'vitest';

import { get, post, serveDigits, server } from '../../support.js';

const steps = vi.hoisted(() => 7);
vi.mock('dpm-native', async (original) => ({ ...(await original<object>()), DEFAULT_STEPS: steps }));

serveDigits();

const request = { model: 'mnist', seed: 1 };

async function image(body: object): Promise<unknown> {
  const { json } = await post('/v1/images/generations', { ...request, ...body });
  return (json.data as { b64_json: string }[])[0]!.b64_json;
}

it('is that of samples', async () => {
  expect((await post('/v1/samples', { ...request, sampler: 'ddim' })).json.evaluations).toBe(steps);
});

it('is that of images as OpenAI has them', async () => {
  const expected = await image({ steps });
  for (const body of [{}, { quality: 'auto' }, { quality: 'medium' }]) expect(await image(body)).toBe(expected);
  for (const body of [{ steps: 6 }, { quality: 'low' }, { quality: 'high' }]) {
    expect(await image(body)).not.toBe(expected);
  }
});

it('is in the description of the server', async () => {
  const text = JSON.stringify((await get('/openapi.json')).json);
  expect(text).toContain(`"Number of network evaluations; default ${steps}."`);
});

it('is what the page begins with', async () => {
  const page = await (await fetch(server.url)).text();
  expect(page).toMatch(new RegExp(`<html[^>]* data-default-steps="${steps}"`));
  expect(page).not.toContain('{{');
});
