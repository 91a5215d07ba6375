// Pipelines as models of a server: their configuration, digests, and files that clients may name.
import { createHash } from 'node:crypto';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TextToImage } from 'dpm-native';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { settingsOf } from '../../src/config/config.js';
import type { ModelConfig } from '../../src/config/model-config.js';
import { Server } from '../../src/index.js';
import { Registry } from '../../src/models/registry.js';
import { ask, expectProblem } from '../support.js';
import { failure } from '../../../../test/support/failure.js';
import { fixtures, lora, path } from './serving.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pipelines-'));
});
afterAll(() => rm(root, { recursive: true }));

const opened = (config: Partial<ModelConfig>): Promise<Registry> =>
  Registry.open(settingsOf({ models: [{ id: 'pipe', path, device: 'cpu', rows: 1, ...config }] }));

async function digestOf(config: Partial<ModelConfig>): Promise<string> {
  const registry = await opened(config);
  const { digest } = registry.get('pipe');
  await registry.close();
  return digest;
}

describe('a pipeline of a configuration', () => {
  it.each([
    [{ engines: 2 }, 'ERR_DPM_CONFIG', 'model pipe: engines is not for pipelines of text to image'],
    [{ labels: ['a'] }, 'ERR_DPM_CONFIG', 'model pipe: labels is not for pipelines of text to image'],
    [{ config: 'ddpm-cifar10' }, 'ERR_DPM_CONFIG', 'model pipe: config is not for pipelines of text to image'],
    [{ sizes: ['17x16'] }, 'ERR_DPM_ARGUMENT', /width is 17/],
    [{ loras: { a: '/nowhere' } }, 'ERR_DPM_FILE', 'cannot read /nowhere, the LoRA a'],
    [{ preview: '/nowhere' }, 'ERR_DPM_FILE', /nowhere/],
    [{ path: 'mnist', sizes: ['16x16'] }, 'ERR_DPM_CONFIG', 'model pipe: sizes is not for models of pixels'],
    [{ path: 'mnist', loras: { a: 'x' } }, 'ERR_DPM_CONFIG', 'model pipe: loras is not for models of pixels'],
  ] as const)('%o is refused', async (config, code, message) => {
    const error = await failure(opened(config as Partial<ModelConfig>));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('has a batch for each of its sizes, and one for LoRAs', async () => {
    const registry = await opened({ sizes: ['16x16', '24x16', '16x24'], promptSlots: 3 });
    const served = registry.get('pipe');
    expect(served.batcher.stats()).toMatchObject({ batches: 4 });
    await registry.close();
    expect(served.batcher.stats()).toMatchObject({ batches: 0 });
  });

  it('has as many batches as its sizes take, whatever the configuration says, or more', async () => {
    const asked = vi.spyOn(TextToImage.prototype, 'batcher');
    for (const batches of [1, 9]) await (await opened({ sizes: ['16x16'], batches })).close();
    const given = asked.mock.calls.map(([options]) => options?.batches);
    asked.mockRestore();
    expect(given).toEqual([3, 9]);
  });

  it('has another digest with other LoRAs, as requests that name them have other images', async () => {
    const other = join(root, 'other.safetensors');
    await cp(join(path, 'lora', 'peft.safetensors'), other);
    const all = [{}, { loras: { a: lora } }, { loras: { b: lora } }, { loras: { a: other } }];
    const digests: string[] = [];
    for (const config of all) digests.push(await digestOf(config));
    expect(new Set(digests).size).toBe(4);
    expect(await digestOf({ loras: { a: lora } })).toBe(digests[1]);
    // Their order is none.
    expect(await digestOf({ loras: { a: lora, b: other } })).toBe(await digestOf({ loras: { b: other, a: lora } }));
  });

  it('is loaded anew once the file of a LoRA is another', async () => {
    const own = join(root, 'own.safetensors');
    await cp(lora, own);
    const config = { id: 'pipe', path, device: 'cpu', rows: 1, loras: { own } };
    const registry = await opened(config);
    expect(await registry.adopt('pipe', config)).toBe(true);
    await cp(join(path, 'lora', 'peft.safetensors'), own);
    expect(await registry.adopt('pipe', config)).toBe(false);
    await registry.close();
  });

  it('is loaded anew once the small autoencoder of its previews is another', async () => {
    const preview = join(root, 'taesd');
    await cp(join(fixtures, 'taesd'), preview, { recursive: true });
    const config = { id: 'pipe', path, device: 'cpu', rows: 1, preview };
    const registry = await opened(config);
    expect(await registry.adopt('pipe', config)).toBe(true);
    await writeFile(join(preview, 'note.json'), '{}');
    expect(await registry.adopt('pipe', config)).toBe(false);
    await registry.close();
  });
});

describe('a pipeline that a client puts', () => {
  let server: Server;
  const headers = { authorization: 'Bearer secret' };
  const put = (body: object) =>
    ask(server, 'PUT', '/v1/models/put', { headers, body: { device: 'cpu', rows: 1, ...body } });
  beforeAll(async () => {
    const sha256 = createHash('sha256').update('secret').digest('hex');
    const tokens = join(root, 'tokens.yaml');
    await writeFile(tokens, JSON.stringify([{ name: 'a', sha256, scopes: ['admin', 'sample'] }]), {
      mode: 0o600,
    });
    await cp(path, join(root, 'roots', 'pipe'), { recursive: true });
    server = await Server.start({
      models: [{ path: 'mnist', device: 'cpu', rows: 1 }],
      ...{ port: 0, logLevel: 'silent', tokens, modelRoots: [join(root, 'roots')] },
    });
  });
  afterAll(() => server.stop());

  it('has its files below the roots', async () => {
    const own = { path: join(root, 'roots', 'pipe') };
    const inside = join(own.path, 'lora', 'kohya.safetensors');
    for (const outside of [{ loras: { a: lora } }, { preview: join(fixtures, 'taesd') }]) {
      expectProblem(await put({ ...own, ...outside }), 403, 'ERR_DPM_FORBIDDEN');
    }
    const answer = await put({ ...own, loras: { a: inside } });
    expect(answer.json).toMatchObject({ kind: 'prompts', prompts: { loras: ['a'] } });
    const body = { model: 'put', prompt: 'a cat', steps: 2, loras: [{ name: 'a' }] };
    expect((await ask(server, 'POST', '/v1/samples', { headers, body })).status).toBe(200);
    expect((await ask(server, 'DELETE', '/v1/models/put', { headers })).status).toBe(204);
  });
});
