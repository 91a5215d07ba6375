// Command lines with mistakes, signals at bad moments, pipes, devices and full disks: `dpm` answers each at once, in
// one line, with an exit code, and leaves nothing half-written.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { elementCount } from '../../lib/base/arrays.js';
import { familyByName } from '../../lib/checkpoint/families/index.js';
import { presets } from '../../lib/checkpoint/presets.js';
import { safetensorsHeader } from '../../lib/files/tensor-data.js';
import { requiredTensors } from '../../lib/network/cost.js';
import { unetGraph } from '../../lib/network/unet.js';
import { commandNames, dpm as dpmInProcess, dpmMain, type Outcome } from '../support/dpm.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const path = (name: string): string => join(folder, name);
const isLinux = process.platform === 'linux';
const oneStep = ['sample', 'mnist', '--device', 'cpu', '--sampler', 'ddim', '--steps', '1'];

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs `dpm` in the test's folder, and ends it when it has not ended by itself. */
function dpm(
  args: readonly string[],
  { stdout = 'pipe', kill }: { stdout?: 'pipe' | number; kill?: { by: NodeJS.Signals; after: number } } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [dpmMain, ...args], { cwd: folder, stdio: ['ignore', stdout, 'pipe'] });
    const ended: Ended = { code: null, signal: null, stdout: '', stderr: '' };
    child.stdout?.on('data', (part: Buffer) => (ended.stdout += part.toString()));
    child.stderr!.on('data', (part: Buffer) => (ended.stderr += part.toString()));
    const patience = setTimeout(() => child.kill('SIGKILL'), 240_000);
    if (kill !== undefined) {
      setTimeout(() => child.kill(kill.by), kill.after);
    }
    child.on('close', (code, signal) => {
      clearTimeout(patience);
      resolve({ ...ended, code, signal });
    });
  });
}

/** One line with a code of ours, and no more. */
const oneError = /^error \[ERR_DPM_[A-Z_]+\]: [^\n\u001b]*\n$/;

function expectRefused({ code, signal, stderr }: Ended): void {
  expect(signal).toBeNull();
  expect(stderr).toMatch(oneError);
  expect(stderr).not.toContain('ERR_DPM_INTERNAL');
  expect([1, 2]).toContain(code);
}

const mnist = packagePath('models/mnist');
const png = ['--out', path('x.png'), '--device', 'cpu', '--steps', '1'];
const odd = [
  '',
  '-1',
  '0',
  'NaN',
  '1e999',
  '0x10',
  '1,',
  ',',
  '--',
  '-',
  '\u202e',
  'a\u001b[2J\nb',
  'x'.repeat(5000),
  '../..',
  '__proto__',
  '[]',
  '%s',
  '$(id)',
  '9'.repeat(40),
];

/** Command lines by what they misuse. */
function commandLines(): string[][] {
  const valued = [
    'count',
    'batch',
    'seed',
    'steps',
    'class',
    'guidance',
    'save-every',
    'threads',
    'sampler',
    'device',
    'dtype',
    'clip',
    'timesteps',
    'image-size',
    'network-time',
    'init',
    'gamma',
    'levels',
    'config',
    'schedule',
    'scale',
  ];
  return [
    ...commandNames.flatMap((command) => [
      [command, '--unheard-of'],
      [command, ...odd],
      [command, '--json=yes', 'x'],
    ]),
    ...commandNames
      .filter((each) => each !== 'devices' && each !== 'bench')
      .map((command) => [command, 'no\nsuch\u001b[31mmodel']),
    ...odd.map((value) => [value, value]),
    ...valued.flatMap((name) =>
      ['', '-1e9', 'NaN', '\u202e', '9'.repeat(40)].map((value) => ['sample', 'mnist', ...png, `--${name}=${value}`]),
    ),
    ['sample', 'mnist', '--device', 'cpu', '--count', '20000000', '--out', path('x.png')],
    ['sample', 'mnist', '--device', 'cpu', '--count', '9007199254740991', '--out', path('x.safetensors')],
    [
      'sample',
      'mnist',
      '--device',
      'cpu',
      '--steps',
      '1000',
      '--save-every',
      '1',
      '--count',
      '2000000',
      '--out',
      path('x.png'),
    ],
    ['bench', 'nfe', '--batch', '0'],
    ['bench', 'nfe', '--batch', '1000000', '--network', 'mnist', '--device', 'cpu'],
    ['bench', 'nfe', '--network', '__proto__', '--device', 'cpu'],
    ['bench', '__proto__'],
    ['plot', 'constructor', mnist],
    ['help', '__proto__'],
  ];
}

/** Why the end of a wrong command line is not what it should be; empty where it is. */
function problemOf(args: readonly string[], { code, stdout, stderr }: Outcome): string[] {
  const wrong =
    code === 0
      ? stderr !== '' || stdout === ''
      : !oneError.test(stderr) || stderr.includes('ERR_DPM_INTERNAL') || ![1, 2].includes(code);
  if (!wrong) return [];
  const shown = args.map((each) => each.slice(0, 60));
  return [JSON.stringify({ args: shown, code, stderr: stderr.slice(0, 300) })];
}

/** Processes take minutes for all of them. */
const isWhole = process.env.DPM_ATTACK === 'all';

describe('command lines', { timeout: isWhole ? 1_200_000 : 300_000 }, () => {
  const all = commandLines();
  const asProcesses = isWhole ? all : all.filter((_, i) => i % 16 === 0);

  it(`${all.length} that are wrong are refused in a line`, async () => {
    const problems: string[] = [];
    for (const args of all) problems.push(...problemOf(args, await dpmInProcess(...args)));
    expect(problems).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it(`${asProcesses.length} of them end processes so`, async () => {
    const problems: string[] = [];
    for (const args of asProcesses) {
      const { code, signal, ...printed } = await dpm(args);
      problems.push(...problemOf(args, { ...printed, code: signal === null && code !== null ? code : -1 }));
    }
    expect(problems).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe.runIf(isLinux)('pipes and devices', () => {
  const pipe = path('pipe');
  execFileSync('mkfifo', [pipe]);

  it.each([
    [['inspect', pipe, '--config', 'ddpm-cifar10']],
    [['sample', packagePath('models/mnist/unet/diffusion_pytorch_model.safetensors'), '--config', pipe, ...png]],
    [['forward', 'mnist', '--input', pipe, '--output', 'y.safetensors']],
    [['sample', 'mnist', ...png, '--init', pipe]],
    [['sample', 'mnist', ...png, '--gamma', pipe, '--sampler', 'analytic-ddpm']],
    [['sample', 'mnist/unet', ...png, '--schedule', pipe]],
    [['inspect', '/dev/zero', '--config', 'ddpm-cifar10']],
    [['plot', 'quality', '/dev/zero', '--out', 'x.svg']],
    [['sample', 'mnist', '--device', 'cpu', '--out', '/dev/null']],
  ])('%j are refused at once', async (args) => {
    expectRefused(await dpm(args));
  });

  it('that take nothing are told in a line', async () => {
    for (const args of [
      ['devices'],
      ['--help'],
      ['inspect', 'mnist', '--device', 'cpu', '--json'],
      [...oneStep, '--out', '-'],
    ]) {
      const full = openSync('/dev/full', 'w');
      const { code, stderr } = await dpm(args, { stdout: full });
      closeSync(full);
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^(1 sample .*\n)?error \[ERR_DPM_FILE\]: cannot write to the standard output: .*\n$/),
      ]);
    }
  });

  it('that close early end the command quietly', async () => {
    const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve) => {
      execFile(
        'bash',
        ['-c', `"${process.execPath}" "${dpmMain}" graph mnist --device cpu | head -n 1`],
        (_, out, err) => {
          resolve({ stdout: out, stderr: err });
        },
      );
    });
    expect([stdout.split('\n')[0], stderr]).toEqual([expect.stringMatching(/^digraph/), '']);
  });
});

describe.runIf(isLinux)('a full disk', () => {
  it.each(['x.safetensors', 'x.png', 'pictures'])('leaves nothing of %s', async (out) => {
    const run = [...oneStep, '--count', '64', '--out', path(`full/${out}`)];
    // A limit of two blocks on every file that is written, as if the disk were full.
    const script = `ulimit -f 2; trap '' XFSZ; exec "${process.execPath}" "${dpmMain}" "$@"`;
    const { code, stderr } = await new Promise<{ code: number; stderr: string }>((resolve) => {
      execFile('bash', ['-c', script, 'dpm', ...run], (error, _, err) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stderr: err });
      });
    });
    if (out === 'pictures') {
      // Each of them is small enough.
      expect([code, readdirSync(path('full/pictures'))]).toEqual([0, expect.arrayContaining(['00063.png'])]);
      return;
    }
    expect(stderr).toMatch(/^error \[ERR_DPM_FILE\]: cannot write .*: EFBIG.*\n$/);
    expect(code).toBe(1);
    expect(readdirSync(path('full')).filter((name) => name !== 'pictures')).toEqual([]);
  });
});

describe.runIf(isLinux)('signals', () => {
  /** A checkpoint of zeros that takes a while to load, and no room. */
  const slow = path('slow.safetensors');
  const network = familyByName('ho').network(presets['ddpm-lsun-256']!, 'ddpm-lsun-256');
  const tensors = [...requiredTensors(unetGraph(network.unet))].map(([name, shape]) => ({
    name: network.source(name, shape).key,
    dtype: 'F32' as const,
    shape,
    bytes: 4 * elementCount(shape),
  }));
  const [length, header] = safetensorsHeader(tensors, {});
  writeFileSync(slow, Buffer.concat([length, header]));
  truncateSync(slow, length.length + header.length + tensors.reduce((sum, { bytes }) => sum + bytes, 0));
  const model = [slow, '--config', 'ddpm-lsun-256', '--device', 'cpu', '--threads', '1'];

  /** Interrupts a command while it works: where it had not begun to listen yet, later. */
  async function interrupted(args: readonly string[], by: NodeJS.Signals): Promise<Ended> {
    // The shortest of these commands work for a second, which is not to lie between two attempts.
    for (let after = 500; ; after += 500) {
      const ended = await dpm(args, { kill: { by, after } });
      if (ended.signal !== by || after > 5000) return ended;
    }
  }

  it.each([
    ['SIGINT', ['inspect', ...model]],
    ['SIGTERM', ['inspect', ...model]],
    ['SIGINT', ['sample', ...model, '--out', 'interrupted.png']],
    ['SIGTERM', ['graph', ...model]],
    ['SIGINT', ['convert', slow, '--config', 'ddpm-lsun-256', '--to', 'interrupted']],
    ['SIGINT', ['bench', 'nfe', '--network', 'ddpm-celebahq-256', '--device', 'cpu', '--threads', '1']],
    ['SIGINT', ['bench', 'nfe', '--network', 'mnist', '--device', 'cpu', '--threads', '1']],
    ['SIGINT', ['bench', 'boundary', '--device', 'cpu']],
  ] as const)('%s ends %j at once, with 130', async (by, args) => {
    const { code, stderr } = await interrupted(args, by);
    expect([code, stderr]).toEqual([130, expect.stringMatching(/^error \[ERR_DPM_ABORTED\]: .*\n$/)]);
    expect(readdirSync(folder).filter((name) => name.startsWith('interrupted') || name.endsWith('.tmp'))).toEqual([]);
    expect(existsSync(slow)).toBe(true);
  });
});
