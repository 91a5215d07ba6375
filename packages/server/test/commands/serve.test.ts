// Tests of `dpm serve` as a process.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { dpm as dpmHere } from '../../../../test/support/dpm.js';
import { packagePath } from '../../../../test/support/temporary.js';
import { untilDraws } from '../../../../test/support/until.js';

type Served = ChildProcessByStdio<null, Readable, Readable>;

const command = packagePath('dist/cli/main.js');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'serve-'));
});
afterAll(() => rm(folder, { recursive: true }));

function dpm(args: readonly string[], env = process.env): Served {
  return spawn(process.execPath, [command, 'serve', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The address of a process, once it serves. */
async function urlOf(served: Served): Promise<string> {
  for await (const data of served.stdout) {
    const url = /^serving at (\S+)$/m.exec(String(data))?.[1];
    if (url !== undefined) return url;
  }
  throw new Error('it does not serve');
}

async function ended(served: Served): Promise<{ code: number; out: string; error: string }> {
  let out = '';
  let error = '';
  served.stdout.on('data', (data) => (out += String(data)));
  served.stderr.on('data', (data) => (error += String(data)));
  const [code] = (await once(served, 'close')) as [number];
  return { code, out, error };
}

/** The niceness of each thread of a process. */
async function nicenessOf({ pid }: Served): Promise<Set<number>> {
  const tasks = `/proc/${pid}/task`;
  const lines = await Promise.all((await readdir(tasks)).map((task) => readFile(`${tasks}/${task}/stat`, 'utf8')));
  // The name of a thread, in brackets, may have spaces.
  return new Set(lines.map((line) => Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[16])));
}

describe('dpm serve', () => {
  it.runIf(process.platform === 'linux').each([
    [undefined, [10, 0]],
    ['0', [0]],
    ['4', [4, 0]],
  ])('lets its event loop go before engines, with DPM_NICE %s', async (given, expected) => {
    const { DPM_NICE: _, ...others } = process.env;
    const env = { ...others, ...(given !== undefined && { DPM_NICE: given }) };
    const served = dpm(['mnist', '--port', '0', '--rows', '2', '--device', 'cpu', '--log-level', 'silent'], env);
    await urlOf(served);
    const own = getPriority();
    expect(await nicenessOf(served)).toEqual(new Set(expected.map((niceness) => own + niceness)));
    served.kill('SIGTERM');
    await once(served, 'close');
  });

  it('serves until it is told to end, and does what it has accepted', async () => {
    const served = dpm(['digits=mnist', '--port', '0', '--rows', '2', '--device', 'cpu', '--log-level', 'silent']);
    const end = once(served, 'close');
    const lines = urlOf(served);
    const url = await lines;
    const running = fetch(`${url}/v1/samples`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'digits', sampler: 'ddpm', steps: 200, seed: 1 }),
    });
    await untilDraws({ url });
    served.kill('SIGTERM');
    const answer = await running;
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ model: 'digits', evaluations: 200 });
    expect(await end).toEqual([0, null]);
  });

  it('says that requests were cut', async () => {
    const served = dpm(['mnist', '--port', '0', '--rows', '2', '--drain', '0.05', '--log-level', 'silent']);
    const url = await urlOf(served);
    const running = fetch(`${url}/v1/samples`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'mnist', sampler: 'ddpm', steps: 1000, seed: 1 }),
    });
    await untilDraws({ url });
    served.kill('SIGINT');
    expect((await running).status).toBe(503);
    const { code, error } = await ended(served);
    expect(code).toBe(1);
    expect(error).toBe('error [ERR_DPM_CLOSED]: requests were cut: they took longer than --drain\n');
  });

  it('takes a file, before which the command line goes', async () => {
    const file = join(folder, 'server.yaml');
    await writeFile(file, 'port: 1\nlogLevel: silent\nmodels:\n  - { id: one, path: mnist, device: cpu, rows: 1 }\n');
    const served = dpm([
      'two=mnist',
      '--config',
      file,
      '--port',
      '0',
      '--rows',
      '2',
      '--threads',
      '1',
      '--device',
      'cpu',
    ]);
    const url = await urlOf(served);
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(['one', 'two']);
    const two = (await (await fetch(`${url}/v1/models/two`)).json()) as { batcher: { rows: number } };
    expect(two.batcher.rows).toBe(2);
    served.kill('SIGTERM');
    expect((await ended(served)).code).toBe(0);
  });

  it('reads its file again on SIGHUP, and when it changes', async () => {
    const file = join(folder, 'again.yaml');
    const path = join(folder, 'model');
    await cp(packagePath('models/mnist'), path, { recursive: true });
    const model = (id: string): string => `  - { id: ${id}, path: ${path}, device: cpu, rows: 1 }\n`;
    await writeFile(file, `models:\n${model('one')}`);
    const served = dpm(['--config', file, '--port', '0']);
    let log = '';
    served.stdout.on('data', (data) => (log += String(data)));
    const until = async (holds: () => Promise<boolean> | boolean): Promise<void> => {
      while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await until(() => log.includes('serving at'));
    const url = /^serving at (\S+)$/m.exec(log)?.[1];
    const json = async (at: string): Promise<Record<string, unknown>> =>
      (await (await fetch(`${url}${at}`)).json()) as Record<string, unknown>;
    const digest = async (): Promise<unknown> => (await json('/v1/models/one')).digest;
    const ids = async (): Promise<string[]> =>
      ((await json('/v1/models')).data as { id: string }[]).map(({ id }) => id);
    const before = await digest();
    // The file stays as it is, so that only the signal can cause the reload.
    await writeFile(join(path, 'note.json'), '{}');
    served.kill('SIGHUP');
    await until(async () => (await digest()) !== before);
    await writeFile(file, `drain: 1000\nmodels:\n${model('one')}${model('two')}  - { id: three, path: /nowhere }\n`);
    await until(async () => (await ids()).join() === 'one,two');
    await until(() => log.split('the configuration was read again').length === 3);
    expect(await json('/readyz')).toMatchObject({ ready: true, warnings: ['three was not loaded: ERR_DPM_FILE'] });
    expect(log).toMatch(/"settings":\["drain"\],"msg":"settings have changed, which takes a restart"/);
    expect(log).toMatch(/"model":"three","msg":"a model was not loaded"/);
    await writeFile(file, 'models: [');
    served.kill('SIGHUP');
    await until(() => log.includes('the configuration was not read again'));
    expect(await ids()).toEqual(['one', 'two']);
    served.kill('SIGTERM');
    expect((await ended(served)).code).toBe(0);
  });

  it('takes what only some need', async () => {
    const options = ['--cors', 'https://a.example', '--cors', 'https://b.example', '--trust-proxy', '127.0.0.1'];
    const own = ['--trust-proxy', '10.0.0.0/8', '--metrics-port', '0', '--no-page', '--memory', '1GiB', '--json'];
    const served = dpm(['mnist', '--port', '0', '--rows', '1', '--log-level', 'silent', ...options, ...own]);
    const [line] = (await once(served.stdout, 'data')) as [Buffer];
    const { url, metricsUrl } = JSON.parse(line.toString()) as Record<string, string>;
    const allowed = async (origin: string): Promise<string | null> =>
      (await fetch(`${url}/livez`, { headers: { origin } })).headers.get('access-control-allow-origin');
    expect(await allowed('https://a.example')).toBe('https://a.example');
    expect(await allowed('https://b.example')).toBe('https://b.example');
    expect(await allowed('https://c.example')).toBeNull();
    expect((await fetch(url!)).status).toBe(404);
    expect((await fetch(`${url}/metrics`)).status).toBe(404);
    expect((await fetch(metricsUrl!)).status).toBe(200);
    served.kill('SIGTERM');
    expect((await ended(served)).code).toBe(0);
  });

  it('says where its metrics are', async () => {
    const served = dpm(['mnist', '--port', '0', '--rows', '1', '--log-level', 'silent', '--metrics-port', '0']);
    const [lines] = (await once(served.stdout, 'data')) as [Buffer];
    expect(lines.toString()).toMatch(/^serving at http:\S+\nmetrics at http:\S+\/metrics\n$/);
    served.kill('SIGTERM');
    expect((await ended(served)).code).toBe(0);
  });

  it('tells its options', async () => {
    const { stdout } = await dpmHere('serve', '--help');
    expect(stdout).toMatch(/--memory <SIZE> +bytes that all models may hold/);
    expect(stdout).toMatch(/--cors <ORIGIN…> +origin/);
    expect(stdout).toMatch(/--trust-proxy <CIDR…> +addresses/);
    expect(stdout).toMatch(/--metrics-port <N> +\/metrics/);
    expect(stdout).toMatch(/--no-page +serve no page/);
  });

  it('makes tokens', async () => {
    const { stdout } = await dpmHere('serve', '--new-token', 'shop', '--json');
    const { token, entry } = JSON.parse(stdout) as Record<string, string>;
    expect(token).toHaveLength(43);
    expect(entry).toMatch(/^- \{ name: shop, sha256: [0-9a-f]{64}, scopes: \[/);
  });

  it.each<[string[], number, RegExp]>([
    [[], 2, /give models to serve, or --config FILE/],
    [['--new-token', 'a b'], 2, /--new-token/],
    [['mnist', '--port', 'http'], 2, /--port/],
    [['mnist', '--rows', 'many'], 2, /--rows/],
    [['mnist', '--memory', '8GB'], 2, /--memory is '8GB', it has to be a number of bytes, as 8GiB/],
    [['mnist', '--memory', '9999999999TiB'], 2, /--memory/],
    [['mnist', '--memory', '64KiB', '--rows', '1'], 1, /ERR_DPM_OUT_OF_MEMORY.* of 65536 are taken/],
    [['mnist', '--memory', '100', '--rows', '1'], 1, /ERR_DPM_OUT_OF_MEMORY.* of 100 are taken/],
    [['mnist', '--memory', '0.5MiB', '--rows', '1'], 1, /ERR_DPM_OUT_OF_MEMORY.* of 524288 are taken/],
    [['mnist', '--cors', '*'], 1, /cors has '\*'/],
    [['mnist', '--trust-proxy', 'proxy'], 1, /trustProxy has 'proxy'/],
    [['mnist', '--host', '0.0.0.0'], 1, /ERR_DPM_CONFIG.*host 0\.0\.0\.0 can be reached/],
    [['/nowhere/model'], 1, /ERR_DPM_FILE/],
    [['mnist', '--config', '/nowhere.yaml'], 1, /ERR_DPM_FILE.*\/nowhere\.yaml/],
    [['mnist', 'other=mnist', 'mnist'], 1, /two models have the id mnist/],
    [['mnist', '--tokens', '/nowhere.yaml'], 1, /cannot read the tokens/],
  ])('refuses %j', async (args, code, message) => {
    const refused = await dpmHere('serve', ...args);
    expect([refused.code, refused.stdout]).toEqual([code, '']);
    expect(refused.stderr).toMatch(message);
  });
});
