import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { DEFAULT_STEPS } from 'dpm-native';

import type { Routes } from '../../http/context.js';
import { MOST_IN_REQUEST, stepsRange } from '../../samples/sample-request.js';

const folder = new URL('static/', import.meta.url);

const files = [
  { path: '/', name: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/page.css', name: 'page.css', type: 'text/css; charset=utf-8' },
  { path: '/page.js', name: 'page.js', type: 'text/javascript; charset=utf-8' },
];

/** What the page says of requests, by its marks: `{{DEFAULT_STEPS}}`. */
const facts: Readonly<Record<string, number>> = {
  DEFAULT_STEPS,
  LEAST_STEPS: stepsRange.minimum,
  MOST_STEPS: stepsRange.maximum,
  MOST_SAMPLES: MOST_IN_REQUEST,
};

/** Tells whether a client has this content, by its If-None-Match (RFC 9110, section 13.1.2). */
function isKnown(etag: string, ifNoneMatch = ''): boolean {
  const known = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known.includes(etag) || known.includes('*');
}

/** The page at `GET /`, unless the settings switch it off. It needs no token to load and asks for one where the server wants one. */
export const pageRoutes: Routes = (app, { settings }) => {
  if (!settings.page) return;
  for (const { path, name, type } of files) {
    const text = readFileSync(new URL(name, folder), 'utf8');
    const content = text.replaceAll(/\{\{(\w+)\}\}/g, (mark, fact: string) => String(facts[fact] ?? mark));
    const etag = `"${createHash('sha256').update(content).digest('base64url')}"`;
    app.get(path, { schema: { hide: true } }, (request, reply) => {
      reply.headers({ etag, 'cache-control': 'no-cache' });
      if (isKnown(etag, request.headers['if-none-match'])) return reply.status(304).send();
      return reply.type(type).send(content);
    });
  }
};
