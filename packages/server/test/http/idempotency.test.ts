// Tests of requests that are sent again.
import { describe, expect, it } from 'vitest';

import { IdempotencyKeys } from '../../src/http/idempotency.js';
import { expectProblem, metric, post, serveDigits, until } from '../support.js';

serveDigits();

const draw = (key: string, more: object = {}, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  post(
    '/v1/samples',
    { model: 'mnist', sampler: 'ddpm', steps: 20, ...more },
    { 'idempotency-key': key, ...headers },
    signal,
  );

describe('a key', () => {
  it('makes one run of requests that come together', async () => {
    const evaluations = await metric('dpm_sample_evaluations_total');
    const answers = await Promise.all(Array.from({ length: 20 }, () => draw('together', { steps: 400 })));
    expect(new Set(answers.map(({ bytes }) => bytes.toString()))).toHaveProperty('size', 1);
    expect(await metric('dpm_sample_evaluations_total')).toBe(evaluations + 400);
  });

  it('gives the same images again, also of a seed that was drawn', async () => {
    const [first, again, other] = [await draw('again'), await draw('again'), await draw('other')];
    expect(again.json).toMatchObject({ seed: first.json.seed, images: first.json.images });
    expect(other.json.seed).not.toBe(first.json.seed);
    const png = { accept: 'image/png' };
    expect((await draw('picture', {}, png)).bytes).toEqual((await draw('picture', {}, png)).bytes);
    const stream = { accept: 'text/event-stream' };
    const seedOf = async () => /"seed":"(\d+)"/.exec((await draw('stream', {}, stream)).bytes.toString())?.[1];
    expect(await seedOf()).toBe(await seedOf());
  });

  it('stands for one request', async () => {
    expect((await draw('mine', { steps: 3 })).status).toBe(200);
    expectProblem(await draw('mine', { steps: 4 }), 422, 'ERR_DPM_IDEMPOTENCY');
    expectProblem(await draw('mine', { steps: 3 }, { accept: 'image/png' }), 422, 'ERR_DPM_IDEMPOTENCY');
    expectProblem(await draw('late', { steps: 0 }), 400, 'ERR_DPM_ARGUMENT');
    expectProblem(await draw('late', { classLabels: 1 }), 400, 'ERR_DPM_ARGUMENT');
    expect((await draw('late', { steps: 3 })).status).toBe(200);
    expectProblem(await draw('a b'), 400, 'ERR_DPM_ARGUMENT');
    expectProblem(await draw('x'.repeat(256)), 400, 'ERR_DPM_ARGUMENT');
  });

  it('ends its run when all who wait have left', async () => {
    const left = [new AbortController(), new AbortController()];
    const waiting = left.map(({ signal }) => draw('long', { steps: 1000, count: 4 }, {}, signal).catch(() => null));
    await until(async () => (await metric('dpm_samples_resident')) > 0);
    left[0]!.abort();
    await waiting[0];
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await metric('dpm_samples_resident')).toBeGreaterThan(0);
    left[1]!.abort();
    await until(async () => (await metric('dpm_samples_resident')) === 0);
  });
});

describe('keys', () => {
  const never = new AbortController().signal;

  it('end a run whose only client left before it began', async () => {
    const keyed = new IdempotencyKeys<boolean>().of('client', 'key', {}, () => 1n);
    const drawn = async (signal: AbortSignal): Promise<boolean> => {
      await Promise.resolve();
      return signal.aborted;
    };
    const [gone, wanted] = [keyed.run(AbortSignal.abort(), drawn), keyed.run(never, drawn)];
    expect([await gone, await wanted]).toEqual([true, false]);
  });

  it('are those of their clients, and kept for a day', () => {
    let now = 0;
    const keys = new IdempotencyKeys<string>(() => now);
    let drawn = 0n;
    const seed = (client: string, key: string, request = 1) => keys.of(client, key, request, () => ++drawn).seed;
    expect([seed('a', 'k'), seed('b', 'k'), seed('a', 'k'), seed('a', 'l')]).toEqual([1n, 2n, 1n, 3n]);
    // Client and key stay apart even where their texts join to the same text.
    expect(seed('a","k', 'l')).toBe(4n);
    now = 86_400_000;
    expect(seed('a', 'k')).toBe(1n);
    expect(() => seed('a', 'k', 2)).toThrow(/another request/);
    now = 86_400_001;
    expect(seed('a', 'k', 2)).toBe(5n);
  });

  it('are forgotten where there are too many, the oldest first, but for those that run', async () => {
    const keys = new IdempotencyKeys<string>(() => 0);
    let end: (value: string) => void = () => undefined;
    const running = keys.of('a', 'running', 1, () => 1n).run(never, () => new Promise((resolve) => (end = resolve)));
    for (let i = 0; i < 10_050; ++i) keys.of('a', `${i}`, 1, () => 2n);
    expect(keys.of('a', '0', 2, () => 3n).seed).toBe(3n);
    expect(keys.of('a', '10049', 1, () => 3n).seed).toBe(2n);
    expect(() => keys.of('a', 'running', 2, () => 3n)).toThrow(/another request/);
    end('done');
    expect(await running).toBe('done');
  });

  it('begin anew where all who waited have left', async () => {
    const keys = new IdempotencyKeys<string>();
    const keyed = keys.of('a', 'k', 1, () => 1n);
    const left = new AbortController();
    const ends: ((value: string) => void)[] = [];
    const run = () => new Promise<string>((resolve) => ends.push(resolve));
    const first = keyed.run(left.signal, run);
    left.abort();
    const second = keyed.run(never, run);
    ends[0]!('first');
    expect(await first).toBe('first');
    // The second run is still there to be joined.
    const third = keyed.run(never, run);
    ends[1]!('second');
    expect(await Promise.all([second, third])).toEqual(['second', 'second']);
    expect(ends).toHaveLength(2);
  });

  it('run again what has ended, whatever came of it', async () => {
    const keys = new IdempotencyKeys<string>();
    const keyed = keys.of('a', 'k', 1, () => 1n);
    await expect(keyed.run(never, () => Promise.reject(new Error('once')))).rejects.toThrow('once');
    expect(await keyed.run(never, () => Promise.resolve('now'))).toBe('now');
  });
});
