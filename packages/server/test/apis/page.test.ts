// Tests of the page's files, and of the parts of its script that need no browser.
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { copiesOf } from '../../src/apis/page/client/copies.js';
import { EventParser, eventsOf } from '../../src/apis/page/client/events.js';
import { bodyOf, fieldsOf, previewOf, queryOf, type Fields } from '../../src/apis/page/client/fields.js';
import type { Model, Sampler } from '../../src/apis/page/client/described.js';
import { Server } from '../../src/index.js';
import { server, serveDigits } from '../support.js';

const digits = { path: 'mnist', device: 'cpu', rows: 1 };

describe('the parser of event streams', () => {
  const parsed = (...pieces: string[]): [string, string][] => {
    const parser = new EventParser();
    return pieces.flatMap((piece) => parser.push(piece)).map(({ event, data }) => [event, data]);
  };

  it.each<[string, string[], [string, string][]]>([
    ['an event', ['event: done\ndata: {"a": 1}\n\n'], [['done', '{"a": 1}']]],
    ['two of one piece', ['event: a\ndata: 1\n\nevent: b\ndata: 2\n\n'], [['a', '1'], ['b', '2']]], // prettier-ignore
    ['one of many pieces', 'event: a\ndata: 1\n\n'.split(''), [['a', '1']]],
    ['one without a name', ['data: 1\n\n'], [['message', '1']]],
    ['a name that is not kept', ['event: a\ndata: 1\n\ndata: 2\n\n'], [['a', '1'], ['message', '2']]], // prettier-ignore
    ['several lines of data', ['data: 1\ndata:  2\ndata\n\n'], [['message', '1\n 2\n']]],
    ['data with colons and without a space', ['data:a: b:c\n\n'], [['message', 'a: b:c']]],
    ['comments and other fields', [': nothing new\n\nid: 3\nretry: 5\ndata: 1\n: more\n\n'], [['message', '1']]],
    ['an event without data', ['event: a\n\nevent: b\ndata: 1\n\n'], [['b', '1']]],
    ['an event that does not end', ['data: 1\n\nevent: a\ndata: 2\n'], [['message', '1']]],
    ['returns and line feeds', ['event: a\r\ndata: 1\r\n\r\n'], [['a', '1']]],
    ['returns alone', ['event: a\rdata: 1\r\r'], [['a', '1']]],
    ['a cut between return and line feed', ['event: a\r', '\ndata: 1\r', '', '\n\r', '\n'], [['a', '1']]],
  ])('reads %s', (_, pieces, expected) => {
    expect(parsed(...pieces)).toEqual(expected);
  });

  it('reads characters that are cut in the middle, and leaves what it is left', async () => {
    const bytes = new TextEncoder().encode('\ufeffdata: é€😀\n\ndata: 2\n\n');
    let isCancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      },
      cancel() {
        isCancelled = true;
      },
    });
    const events = eventsOf(body);
    expect((await events.next()).value).toEqual({ event: 'message', data: 'é€😀' });
    expect(isCancelled).toBe(false);
    await events.return();
    expect(isCancelled).toBe(true);
  });
});

describe('the files of the page', () => {
  serveDigits();

  it.each([
    ['/', 'text/html; charset=utf-8'],
    ['/page.css', 'text/css; charset=utf-8'],
    ['/page.js', 'text/javascript; charset=utf-8'],
  ])('%s has its type and the hash of its content', async (path, type) => {
    const whole = await fetch(server.url + path);
    expect([whole.status, whole.headers.get('content-type')]).toEqual([200, type]);
    expect(whole.headers.get('cache-control')).toBe('no-cache');
    expect(whole.headers.get('content-security-policy')).toContain("default-src 'self'");
    const hash = createHash('sha256')
      .update(Buffer.from(await whole.arrayBuffer()))
      .digest('base64url');
    const etag = whole.headers.get('etag')!;
    expect(etag).toBe(`"${hash}"`);
    const status = async (tags: string) =>
      (await fetch(server.url + path, { headers: { 'if-none-match': tags } })).status;
    expect(await Promise.all([etag, `W/${etag}`, `"a", ${etag}`, '*', '"a"'].map(status))).toEqual([
      304, 304, 304, 304, 200,
    ]);
    expect((await fetch(server.url + path, { method: 'HEAD' })).headers.get('etag')).toBe(etag);
  });
});

describe('the page and the explorer of the API', () => {
  const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;

  it('need no token to load, and have policies of their own', async () => {
    const guarded = join(mkdtempSync(join(tmpdir(), 'page-tokens-')), 'tokens.yaml');
    writeFileSync(guarded, `- { name: a, sha256: ${'a'.repeat(64)}, scopes: [sample] }\n`, { mode: 0o600 });
    await using own = await Server.start({ models: [digits], tokens: guarded, port: 0, logLevel: 'silent' });
    expect(await statusOf(`${own.url}/`)).toBe(200);
    const explorer = await fetch(`${own.url}/docs`);
    expect(explorer.status).toBe(200);
    expect(explorer.headers.get('content-security-policy')).toContain("style-src 'self' 'unsafe-inline'");
    expect(explorer.headers.get('content-security-policy')).not.toMatch(/script-src|unsafe-eval/);
    expect((await fetch(own.url)).headers.get('content-security-policy')).not.toContain('unsafe-inline');
    expect(await statusOf(`${own.url}/v1/models`)).toBe(401);
  });

  it('can be switched off', async () => {
    await using own = await Server.start({ models: [digits], page: false, port: 0, logLevel: 'silent' });
    for (const path of ['/', '/page.js', '/docs', '/docs/json']) expect(await statusOf(own.url + path)).toBe(404);
    expect(await statusOf(`${own.url}/openapi.json`)).toBe(200);
  });
});

describe('what the form says', () => {
  const standard: Fields = {
    ...{ model: '', samplers: ['unipc'], steps: '25', count: '4', seed: '', class: '0', guidance: '', options: {} },
    ...{ prompt: '', negative: '', size: '', lora: '', image: '', strength: '0.6' },
  };
  const sampler: Sampler = {
    ...{ id: 'ddim', summary: '', kind: 'step' },
    options: {
      steps: { description: '' },
      eta: { description: '', type: 'number' },
      on: { description: '', type: 'boolean' },
    },
  };
  const model = { id: 'm', classes: 3, labels: [], shape: [1, 2, 2] } as unknown as Model;
  const fields: Fields = {
    ...{ model: 'm', samplers: ['ddim', 'ddpm'], steps: '7', count: '2', seed: '18446744073709551615', class: '1' },
    ...{ prompt: '', negative: '', size: '', lora: '', image: '', strength: '0.6' },
    ...{ guidance: '1.5', options: { eta: '0.5', on: 'true', order: '3', gone: '' } },
  };

  it('is a request, whose numbers are numbers and whose seed keeps its digits', () => {
    expect(bodyOf(fields, sampler, model, 'draw')).toEqual({
      ...{
        model: 'm',
        sampler: 'ddim',
        seed: '18446744073709551615',
        steps: 7,
        count: 2,
        classLabels: 1,
        guidance: 1.5,
      },
      options: { eta: 0.5, on: true },
    });
    expect(bodyOf(fields, sampler, model, 'compare')).toEqual({
      ...{ model: 'm', sampler: 'ddim', seed: '18446744073709551615', steps: 7, classLabels: 1, guidance: 1.5 },
    });
    const adaptive = { ...sampler, options: {} };
    expect(bodyOf({ ...fields, guidance: '' }, adaptive, { ...model, classes: 0 }, 'draw')).toEqual({
      ...{ model: 'm', sampler: 'ddim', seed: '18446744073709551615', count: 2 },
    });
  });

  it('is a text, for a model that draws texts, and the picture that it begins with', () => {
    const prompts = { sizes: ['8x8', '16x8'], steps: 9, guidance: 4, loras: ['style'], previews: true };
    const pipeline = { ...model, classes: 0, prompts } as unknown as Model;
    const asked = { ...fields, options: {}, prompt: 'a cat', guidance: '' };
    const request = { ...{ model: 'm', sampler: 'ddim', seed: '18446744073709551615', steps: 7, count: 2 } };
    expect(bodyOf(asked, sampler, pipeline, 'draw')).toEqual({ ...request, prompt: 'a cat' });
    const whole = { ...asked, guidance: '3', negative: 'a dog', size: '16x8', lora: 'style' };
    const text = { prompt: 'a cat', negativePrompt: 'a dog', guidance: 3, loras: [{ name: 'style' }] };
    expect(bodyOf(whole, sampler, pipeline, 'draw')).toEqual({ ...request, ...text, size: '16x8' });
    // A picture has its own size, and is in no link.
    const begun = { ...whole, image: 'AAAA', strength: '0.5' };
    const body = bodyOf(begun, sampler, pipeline, 'draw');
    expect(body).toEqual({ ...request, ...text, image: { b64: 'AAAA' }, strength: 0.5 });
    const linked = fieldsOf(queryOf(begun, 'draw', pipeline), standard);
    expect(linked).toEqual({ ...whole, samplers: ['ddim'], class: '0' });
    expect(bodyOf(whole, sampler, model, 'draw').prompt).toBeUndefined();
    const [line, program, curl] = copiesOf({ ...body, prompt: "a cat's" }, 'http://a', false).map((copy) => copy.text);
    expect(line).toBe(
      "npx dpm generate m 'a cat'\\''s' --sampler ddim --steps 7 --count 2 --seed 18446744073709551615 --guidance 3 --strength 0.5 --negative-prompt 'a dog' --image picture.png --lora style.safetensors",
    );
    expect(program).toContain("import { ImageBatch, TextToImage } from 'dpm-native';");
    expect(program).toContain('TextToImage.load("m", { loras: [{"path":"style.safetensors"}] })');
    expect(program).toContain("image: await ImageBatch.load('picture.png')");
    expect(curl).toContain('"image":{"b64":"..."}');
  });

  it('is a link, and that is it again', () => {
    const query = queryOf(fields, 'draw', model);
    expect(fieldsOf(query, standard)).toEqual({ ...fields, samplers: ['ddim'] });
    const compared = queryOf(fields, 'compare', model);
    expect(fieldsOf(compared, standard)).toEqual({ ...fields, count: '4', options: {} });
    expect(fieldsOf(new URLSearchParams(), standard)).toEqual(standard);
  });

  it.each([
    [{ steps: 25, count: 4 }, 3],
    [{ steps: 25, count: 5 }, undefined],
    [{ steps: 3 }, 1],
    [{ steps: 1000 }, 125],
    [{}, undefined],
  ])('of %j has previews every %s records', (asked, every) => {
    expect(previewOf({ model: 'm', sampler: 's', seed: '1', ...asked }, {})?.every).toBe(every);
    const without = { prompts: { previews: false } } as unknown as Model;
    expect(previewOf({ model: 'm', sampler: 's', seed: '1', ...asked }, without)).toBeUndefined();
  });

  it('is a command for the shell, whatever its texts have', () => {
    const body = { model: "it's", sampler: 'ddim', seed: '1', steps: 2 };
    const curl = copiesOf(body, 'http://h', true).find(({ name }) => name === 'curl')!.text;
    expect(curl).toContain(String.raw`--data '{"model":"it'\''s","sampler":"ddim","seed":"1","steps":2}'`);
    expect(curl).toContain('Authorization: Bearer $DPM_TOKEN');
    expect(
      copiesOf(body, 'http://h', false)
        .map(({ text }) => text)
        .join(),
    ).not.toContain('DPM_TOKEN');
  });
});
