// Helpers that serve the model of digits, ask the server and check its answers.
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

import { afterAll, beforeAll, expect } from 'vitest';

import { DiffusionModel } from 'dpm-native';

import { valueIn } from '../../../test/support/until.js';
import { Server, type ServerConfig } from '../src/index.js';
import { type Limits, limits } from '../src/config/limits.js';
import { expectDescribed } from './described.js';

export { until, untilDraws } from '../../../test/support/until.js';

export let server: Server;
/** The model as the library has it. */
export let model: DiffusionModel;

/** Serves the digits to the tests of a file. */
export function serveDigits(config: Partial<ServerConfig> = {}, patience: Partial<Limits> = {}): void {
  beforeAll(async () => {
    model = await DiffusionModel.load('mnist', { device: 'cpu' });
    server = await Server.startWithin(
      { models: [{ path: 'mnist', device: 'cpu', rows: 4 }], port: 0, logLevel: 'silent', ...config },
      { ...limits, ...patience },
    );
  });
  afterAll(async () => {
    await server.stop();
    await model.close();
  });
}

/** Writes a file of tokens into a folder, with one, `secret`, that may draw samples; gives its path. */
export async function writeTokens(folder: string, name: string): Promise<string> {
  const path = join(folder, 'tokens.yaml');
  const sha256 = createHash('sha256').update('secret').digest('hex');
  await writeFile(path, `- { name: ${name}, sha256: ${sha256}, scopes: [sample] }`, { mode: 0o600 });
  return path;
}

/** An answer that has been read. */
export interface Answer {
  status: number;
  headers: Headers;
  bytes: Buffer;
  json: Record<string, unknown>;
}

/** The parts of a request beside its path. */
export interface Asking {
  headers?: Record<string, string>;
  /** A value that is sent as JSON, or bytes that are sent as they are. */
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** Asks a server, whose answer has to fit its description. */
export async function ask(to: Server, method: string, path: string, asking: Asking = {}): Promise<Answer> {
  const { headers, body, signal } = asking;
  const url = new URL(to.url + path);
  const response = await fetch(url, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && {
      body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    }),
    ...(signal !== undefined && { signal }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '') && bytes.length > 0;
  const json = isJson ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : {};
  const answer = { status: response.status, headers: response.headers, bytes, json };
  await expectDescribed(method, url, answer);
  return answer;
}

export function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return ask(server, method, path, { headers });
}

/** Posts a value as JSON, or bytes as they are. */
export function post(
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Answer> {
  return ask(server, 'POST', path, { body, headers, signal });
}

export const sample = (body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  post('/v1/samples', { model: 'mnist', sampler: 'ddim', steps: 3, seed: 7, ...body }, headers);

/** Expects an answer to be a problem with this status and code. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect([answer.status, answer.json.code]).toEqual([status, code]);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.json).toMatchObject({ type: `urn:dpm:${code}`, status });
  expect(answer.json.title).toEqual(expect.any(String));
  expect(answer.json.detail).toEqual(expect.any(String));
  expect(answer.json.id).toMatch(/^[0-9a-f-]{36}$/);
}

/** Sends bytes as they are, and returns the answer until the other side ends, or nothing comes for a while. */
export function raw(bytes: string | Uint8Array, milliseconds = 3000): Promise<string> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    const end = (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(milliseconds, end);
    socket.on('data', (data) => (answer += data.toString('latin1')));
    socket.on('end', end);
    socket.on('error', end);
  });
}

/** The value of a metric, summed over its labels. */
export async function metric(name: string, labels = ''): Promise<number> {
  return valueIn((await get('/metrics')).bytes.toString(), name, labels);
}
