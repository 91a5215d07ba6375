// Requests that no client should send: bytes of connections, paths and headers.

const POST = 'POST /v1/samples HTTP/1.1';
const HOST = 'Host: localhost';
const JSON_TYPE = 'Content-Type: application/json';
const body = '{"model":"mnist","sampler":"ddim","steps":1,"seed":1}';

const lines = (...all: string[]): string => [...all, '', ''].join('\r\n');
const chunked = (chunks: string): string => lines(POST, HOST, JSON_TYPE, 'Transfer-Encoding: chunked') + chunks;
const getOf = (path: string, ...more: string[]): string =>
  lines(`GET ${path} HTTP/1.1`, HOST, 'Connection: close', ...more);

/** A name of the attack, its bytes, and the status of each answer that it may get; empty: the connection ends. */
export type ByteAttack = readonly [name: string, bytes: string, statuses: readonly number[]];

/** Bytes in the place of a request. */
export const byteAttacks: readonly ByteAttack[] = [
  ['a chunk of no size', chunked('\r\n\r\n'), [400]],
  ['a chunk of a size that is no number', chunked('zz\r\n\r\n'), [400]],
  ['a chunk of a negative size', chunked('-1\r\n\r\n'), [400]],
  ['a chunk of more bytes than come', chunked(`ffffffffffffffff\r\n${body}`), []],
  ['a chunk of a size that overflows', chunked('1ffffffffffffffff\r\na\r\n0\r\n\r\n'), [400]],
  ['a chunk without its end', chunked('2\r\n{}XX0\r\n\r\n'), [400]],
  ['an extension of a chunk of 64 KiB', chunked(`2;a=${'b'.repeat(65536)}\r\n{}\r\n0\r\n\r\n`), [400]],
  ['a trailer that says a length', chunked('2\r\n{}\r\n0\r\nContent-Length: 3\r\n\r\n'), [400]],
  [
    'chunks before another encoding',
    lines(POST, HOST, JSON_TYPE, 'Transfer-Encoding: chunked, identity') + '0\r\n\r\n',
    [400],
  ],
  [
    'an encoding behind a tab',
    lines(POST, HOST, JSON_TYPE, 'Transfer-Encoding:\tchunked', 'Content-Length: 5') + '0\r\n\r\n',
    [400],
  ],
  [
    'an encoding of a name with a letter of another case',
    lines(POST, HOST, JSON_TYPE, 'tRANSFER-eNCODING: chunked', 'Content-Length: 5') + '0\r\n\r\n',
    [400],
  ],
  ['a length of many digits', lines(POST, HOST, JSON_TYPE, `Content-Length: ${'9'.repeat(30)}`) + body, [400]],
  ['a length with a plus', lines(POST, HOST, JSON_TYPE, 'Content-Length: +5') + body, [400]],
  ['a length in hexadecimal', lines(POST, HOST, JSON_TYPE, 'Content-Length: 0x10') + body, [400]],
  ['a length of two numbers', lines(POST, HOST, JSON_TYPE, 'Content-Length: 5, 5') + body, [400]],
  ['a length of nothing', lines(POST, HOST, JSON_TYPE, 'Content-Length:') + body, [400]],
  ['a length that is too large', lines(POST, HOST, JSON_TYPE, 'Content-Length: 99999999999'), [413]],
  ['a method that is none', lines('BREW /livez HTTP/1.1', HOST), [400]],
  ['a method in small letters', lines('get /livez HTTP/1.1', HOST), [400]],
  ['a method of 10,000 letters', lines(`${'G'.repeat(10_000)} /livez HTTP/1.1`, HOST), [400]],
  ['a tunnel', lines('CONNECT example.com:443 HTTP/1.1', 'Host: example.com:443'), []],
  ['a trace of the request', lines('TRACE /livez HTTP/1.1', HOST, 'Cookie: secret=1', 'Connection: close'), [405]],
  ['a path without a slash', lines('GET livez HTTP/1.1', HOST), [400]],
  ['a path with a space', lines('GET /liv ez HTTP/1.1', HOST), [400]],
  ['a path with a control character', lines('GET /li\x01vez HTTP/1.1', HOST), [400]],
  ['no version, which HTTP/0.9 has', 'GET /livez\r\n\r\n', [200]],
  ['a version that is none', lines('GET /livez HTTP/1.x', HOST), [400]],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ['a line of 100 KiB', lines(`GET /${'a'.repeat(1e5)} HTTP/1.1`, HOST), [431]],
  ['a header of 100 KiB', getOf('/livez', `X: ${'a'.repeat(1e5)}`), [431]],
  ['3,000 headers', getOf('/livez', ...Array.from({ length: 3000 }, (_, i) => `X-${i}: 1`)), [431]],
  ['a header without a name', getOf('/livez', ': a'), [400]],
  ['a header without a colon', getOf('/livez', 'Xa'), [400]],
  ['a header with a bracket in its name', getOf('/livez', 'X[a]: 1'), [400]],
  ['a carriage return in a value', getOf('/livez', 'X: a\rY: b'), [400]],
  [
    'an expectation that is none',
    lines(POST, HOST, JSON_TYPE, 'Expect: 200-ok', 'Content-Length: 2', 'Connection: close') + '{}',
    [417],
  ],
  [
    'another host by its URL',
    lines('GET http://evil.example/v1/models HTTP/1.1', 'Host: evil.example', 'Connection: close'),
    [403],
  ],
  [
    'a name with a port that is none',
    lines('GET /v1/models HTTP/1.1', 'Host: localhost:99999', 'Connection: close'),
    [403],
  ],
  ['a name with a user', lines('GET /v1/models HTTP/1.1', 'Host: localhost@evil.example', 'Connection: close'), [403]],
  ['a name of another', lines('GET /v1/models HTTP/1.1', 'Host: evil.example', 'Connection: close'), [403]],
  [
    'a name that begins like ours',
    lines('GET /v1/models HTTP/1.1', 'Host: localhost.evil.example', 'Connection: close'),
    [403],
  ],
  [
    'a request behind a request',
    lines('GET /livez HTTP/1.1', HOST) + lines('GET /nothing HTTP/1.1', HOST, 'Connection: close'),
    [200, 404],
  ],
];

/** A path that leads nowhere, and the status of its answer. */
export type PathAttack = readonly [method: string, path: string, status: number];

const ids = [
  '..',
  '%2e%2e',
  '..%2f..%2fetc%2fpasswd',
  '%00',
  'a%00b',
  '%0d%0aX:1',
  '__proto__',
  'constructor',
  '*',
  'a'.repeat(200),
  '%ff',
  '%u0041',
  '-1',
  '0',
  'null',
  '%F0%9F%98%80',
  "'%20OR%201=1",
  '%252e%252e',
];

/** Paths in the place of those that there are. */
export const pathAttacks: readonly PathAttack[] = [
  ...ids.map((id): PathAttack => ['GET', `/v1/jobs/${id}/events`, 404]),
  ...ids.map((id): PathAttack => ['GET', `/v2/models/${id}/ready`, 404]),
  ...ids.map((id): PathAttack => ['DELETE', `/v1/jobs/x${id}`, 404]),
  ['GET', '/v1/models/mnist/', 404],
  ['GET', '/v1//models', 404],
  ['GET', '/./v1/models', 404],
  ['GET', '/V1/MODELS', 404],
  ['GET', '/v1/models;a=b', 404],
  ['GET', '/.git/config', 404],
  ['GET', '/package.json', 404],
  ['GET', '/docs/static/..%2f..%2f..%2fpackage.json', 404],
  ['GET', '/docs/static/%2e%2e/%2e%2e/package.json', 404],
  ['POST', '/livez', 405],
  ['PATCH', '/v1/models/mnist', 405],
  ['DELETE', '/v1/samples', 405],
  ['PUT', '/v1/jobs', 405],
  ['GET', '/v1/jobs?limit=0', 400],
  ['GET', '/v1/jobs?limit=-1', 400],
  ['GET', '/v1/jobs?limit=1e9', 400],
  ['GET', '/v1/jobs?limit=999999999', 400],
  ['GET', '/v1/jobs?limit=1&limit=2', 400],
  ['GET', '/v1/jobs?limit[]=1', 400],
  ['GET', '/v1/jobs?cursor=..%2f..', 400],
  ['GET', '/v1/jobs?cursor=%00', 400],
  ['GET', '/v1/jobs?cursor=a&cursor=b', 400],
  ['GET', '/v1/jobs?tenant=other', 400],
  ['GET', '/v1/jobs?__proto__[x]=1', 400],
];

/** Headers of a request for samples that is right but for them, and the status of its answer. */
export const headerAttacks: readonly (readonly [string, Record<string, string>, number])[] = [
  ['Accept of a form that there is not', { accept: 'image/jpeg' }, 406],
  ['Accept of nothing', { accept: '' }, 406],
  ['Accept with a weight of 0', { accept: '*/*;q=0' }, 406],
  ['Accept of half of a type', { accept: 'image/' }, 406],
  ['Accept of 8,000 types', { accept: 'a/b,'.repeat(2000) }, 406],
  ['Content-Type of nothing', { 'content-type': '' }, 415],
  ['Content-Type of a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
  ['Content-Type of several parts', { 'content-type': 'multipart/form-data; boundary=a' }, 415],
  ['Content-Type of XML', { 'content-type': 'application/xml' }, 415],
  ['Content-Type of another JSON', { 'content-type': 'application/jsonx' }, 415],
  ['Content-Type with a slash too many', { 'content-type': 'application//json' }, 415],
  ['Content-Encoding of brotli', { 'content-encoding': 'br' }, 415],
  ['Content-Encoding of two', { 'content-encoding': 'identity, gzip' }, 415],
  ['Idempotency-Key of nothing', { 'idempotency-key': '' }, 400],
  ['Idempotency-Key with a space', { 'idempotency-key': 'a b' }, 400],
  ['Idempotency-Key of 256 characters', { 'idempotency-key': 'k'.repeat(256) }, 400],
  ['Idempotency-Key beyond ASCII', { 'idempotency-key': '\xe4' }, 400],
  ['Origin of another', { origin: 'https://evil.example' }, 403],
  ['Origin of nobody', { origin: 'null' }, 403],
];

/** Values of `Authorization` that are no token of a server that asks for one. */
export const authorizations: readonly (readonly [string, string | undefined])[] = [
  ['nothing', undefined],
  ['an empty value', ''],
  ['no token', 'Bearer'],
  ['a token of spaces', 'Bearer    '],
  ['another token', 'Bearer secret2'],
  ['the beginning of the token', 'Bearer secre'],
  ['the token and more', 'Bearer secret secret'],
  ['the token in capitals', 'Bearer SECRET'],
  ['the token with a zero byte in percents', 'Bearer secret%00'],
  ['the digest of the token', 'Bearer 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'],
  ['another scheme', 'Basic c2VjcmV0OnNlY3JldA=='],
  ['the token without a scheme', 'secret'],
  ['a token of a prototype', 'Bearer __proto__'],
  ['a token of 8,000 characters', `Bearer ${'t'.repeat(8000)}`],
  ['two tokens', 'Bearer secret, Bearer secret'],
];
