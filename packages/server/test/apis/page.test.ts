// Tests of the page's files, and of the parts of its script that need no browser.
import { createHash } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { server, serveDigits } from '../support.js';

interface StreamEvent {
  event: string;
  data: string;
}

/** The exports of page.js, which has no types. */
const { EventParser, eventsOf } = (await import(
  new URL('../../src/apis/page/static/page.js', import.meta.url).href
)) as {
  EventParser: new () => { push(text: string): StreamEvent[] };
  eventsOf: (body: ReadableStream<Uint8Array>) => AsyncGenerator<StreamEvent, void, void>;
};

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
