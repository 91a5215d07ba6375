// Output of a command is checked before the work, and is written where it was requested.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { checkTarget } from '../../../lib/cli/target.js';
import { pictureOptionFacts } from '../../../lib/images/picture-options.js';
import { DEFAULT_STEPS, writeSafetensors } from '../../../lib/index.js';
import { dpm, dpmBytes } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const temporary = (name: string): string => join(folder, name);
const sample = ['sample', 'mnist', '--device', 'cpu', '--sampler', 'ddim', '--steps', '2', '--seed', '1'];

describe('a target', () => {
  const kinds = { flag: '--out', endings: ['.png', '.safetensors'], folder: true };
  writeFileSync(temporary('file'), '');
  mkdirSync(temporary('folder.png'));
  mkdirSync(temporary('folder'));

  it.each<[string, string, string, RegExp]>([
    [
      'a file without an ending',
      'file',
      'ERR_DPM_FILE',
      /there is something that is no folder; give another name, or one that ends in \.png or \.safetensors/,
    ],
    ['a path below a file', 'file/grid.png', 'ERR_DPM_FILE', /file is not a folder/],
    ['a path far below a file', 'file/a/b/grid.png', 'ERR_DPM_FILE', /cannot be written: .*file.* is not a folder/],
    ['a folder called like a file', 'folder.png', 'ERR_DPM_FILE', /no regular file/],
    ['a name of 256 letters', `${'x'.repeat(252)}.png`, 'ERR_DPM_FILE', /its name takes 256 bytes, 255 are possible/],
    ['a name of few letters and many bytes', `${'\u{1f600}'.repeat(63)}.png`, 'ERR_DPM_FILE', /takes 256 bytes/],
    ['another ending', 'grid.jpg', 'ERR_DPM_USAGE', /has to be a \.png file, a \.safetensors file or a folder/],
  ])('is not %s', async (_, name, code, message) => {
    const check = checkTarget(temporary(name), kinds);
    await expect(check).rejects.toMatchObject({ code });
    await expect(check).rejects.toThrow(message);
  });

  it('is not /dev/null, the standard output or nothing, where these are not meant', async () => {
    await expect(checkTarget('/dev/null', kinds)).rejects.toThrow(/there is something that is no folder/);
    await expect(checkTarget('/dev/null', { flag: '--out' })).rejects.toThrow(/no regular file/);
    await expect(checkTarget('-', kinds)).rejects.toThrow(/this command does not write to/);
    await expect(checkTarget('-', { ...kinds, toStandardOutput: true })).resolves.toBeUndefined();
    await expect(checkTarget('', kinds)).rejects.toThrow(/--out is empty/);
  });

  it('may be new, in new folders, of 255 letters or of upper case', async () => {
    for (const name of ['new.png', 'a/b/new.png', `${'x'.repeat(251)}.png`, 'NEW.PNG', 'folder', 'new-folder/x']) {
      await expect(checkTarget(temporary(name), kinds)).resolves.toBeUndefined();
    }
    expect(existsSync(temporary('a'))).toBe(false);
    const suffix = { ...kinds, suffix: '-record-0001' };
    await expect(checkTarget(temporary(`${'x'.repeat(251)}.png`), suffix)).rejects.toThrow(/takes 267 bytes/);
  });
});

describe('dpm sample', () => {
  it('refuses what cannot be written before it loads the model', async () => {
    for (const out of [temporary('file'), temporary('file/x.png'), temporary('x.jpg')]) {
      const { code, stderr } = await dpm('sample', 'no-such-model', '--out', out);
      expect(stderr).toMatch(/--out /);
      expect(code).toBeGreaterThan(0);
    }
  });

  it('writes a PNG to the standard output, and what it says elsewhere', async () => {
    const { code, stdout, stderr } = await dpmBytes(...sample, '--count', '2', '--out', '-');
    expect(code).toBe(0);
    expect(decode(stdout)).toMatchObject({ width: 2 * 112 + 2, height: 112 });
    expect(stderr).toMatch(/^2 samples in .* -> -\n$/);
    expect((await dpm(...sample, '--out', '-', '--json')).stderr).toMatch(/--json and --out - would both/);
    expect((await dpm(...sample, '--out', '-', '--save-every', '1')).stderr).toMatch(/--save-every writes several/);
  });

  it('makes folders, takes endings of upper case and names of 255 letters', async () => {
    const out = temporary('new/folders/GRID.PNG');
    expect(await dpm(...sample, '--out', out)).toMatchObject({ code: 0 });
    expect(decode(readFileSync(out))).toMatchObject({ width: 112, height: 112 });
    const tensors = temporary('new/X.SafeTensors');
    expect(await dpm(...sample, '--out', tensors)).toMatchObject({ code: 0 });
    expect(readFileSync(tensors).toString('latin1', 8, 40)).toContain('images');
    const long = temporary(`${'x'.repeat(251)}.png`);
    expect(await dpm(...sample, '--out', long)).toMatchObject({ code: 0 });
    expect(existsSync(long)).toBe(true);
  });

  it('enlarges and labels pictures', async () => {
    const out = temporary('labelled.png');
    expect(await dpm(...sample, '--count', '2', '--scale', '3', '--labels', '--out', out)).toMatchObject({ code: 0 });
    expect(decode(readFileSync(out))).toMatchObject({ width: 2 * 84 + 2, height: 84 + 9 });
    const expected = `--scale is 0, it has to be ${pictureOptionFacts.scale.kind.expected}`;
    expect((await dpm(...sample, '--scale', '0', '--out', out)).stderr).toContain(expected);
    expect((await dpm('plot', 'strip', 'mnist', '--scale', '0', '--out', out)).stderr).toContain(expected);
  });

  it('takes the default steps where it is not said how many', async () => {
    const ddim = ['sample', 'mnist', '--device', 'cpu', '--sampler', 'ddim'];
    const { stderr, code } = await dpm(...ddim, '--out', temporary('unsaid.safetensors'));
    expect([code, stderr]).toEqual([0, '']);
    await dpm(...ddim, '--steps', String(DEFAULT_STEPS), '--out', temporary('same.safetensors'));
    expect(readFileSync(temporary('unsaid.safetensors'))).toEqual(readFileSync(temporary('same.safetensors')));
    const timesteps = ['--sampler', 'ddim', '--timesteps', '900,400,0', '--out', temporary('times.png')];
    expect(await dpm('sample', 'mnist', '--device', 'cpu', ...timesteps)).toMatchObject({ code: 0 });
    const adaptive = ['--sampler', 'dpm-solver-adaptive', '--out', temporary('adaptive.png')];
    expect(await dpm('sample', 'mnist', '--device', 'cpu', ...adaptive)).toMatchObject({ code: 0 });
  });

  it('takes the schedule of a network that was saved alone', async () => {
    const unet = packagePath('models/mnist/unet');
    const run = ['--device', 'cpu', '--sampler', 'ddim', '--steps', '2', '--seed', '1', '--out', temporary('lone.png')];
    expect((await dpm('sample', unet, ...run)).stderr).toMatch(/--schedule on the command line/);
    const schedule = packagePath('models/mnist/scheduler');
    expect(await dpm('sample', unet, ...run, '--schedule', schedule)).toMatchObject({ code: 0 });
    const to = temporary('converted');
    expect(await dpm('convert', unet, '--schedule', schedule, '--to', to)).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(to)).toContain('scheduler');
  });
});

describe('other commands', () => {
  it('write to the standard output where it makes sense, and make folders', async () => {
    const chart = await dpm('plot', 'gamma', '--gamma', packagePath('models/mnist/gamma.json'), '--out', '-');
    expect(chart.stdout).toMatch(/^<svg .*<\/svg>\n$/s);
    expect((await dpm('plot', 'gamma', 'mnist', '--out', '-', '--json')).stderr).toMatch(/would both write/);
    const strip = ['plot', 'strip', 'mnist', '--device', 'cpu', '--sampler', 'ddim', '--steps', '2', '--count', '1'];
    const out = temporary('strips/strip.png');
    expect(await dpm(...strip, '--columns', '3', '--labels', '--scale', '2', '--out', out)).toMatchObject({ code: 0 });
    expect(decode(readFileSync(out))).toMatchObject({ width: 3 * 56 + 4, height: 56 + 9 });
  });

  it('refuse what cannot be written before the work', async () => {
    await writeSafetensors(temporary('data.safetensors'), {
      images: { shape: [1, 1, 28, 28], data: new Uint8Array(784) },
    });
    for (const [command, option] of [
      ['gamma', '--out'],
      ['costs', '--out'],
      ['forward', '--output'],
      ['gradient', '--output'],
      ['convert', '--to'],
    ] as const) {
      const needed =
        command === 'forward' || command === 'gradient' ? ['--input', 'x'] : ['--samples', '1', '--data', 'x'];
      const args = command === 'convert' ? [] : needed;
      const { stderr } = await dpm(command, 'no-such-model', ...args, option, temporary('file/x'));
      expect(stderr).toMatch(new RegExp(`${option} .*file/x cannot be written`));
      expect((await dpm(command, 'no-such-model', ...args, option, '-')).stderr).toMatch(/does not write to/);
    }
    const table = temporary('tables/gamma.json');
    const data = ['--data', temporary('data.safetensors'), '--samples', '1', '--timesteps', '1'];
    expect(await dpm('gamma', 'mnist', '--device', 'cpu', ...data, '--out', table)).toMatchObject({ code: 0 });
    expect(existsSync(table)).toBe(true);
  });

  it('print benchmarks as one document', async () => {
    const run = await dpm(
      'bench',
      'nfe',
      '--network',
      'mnist',
      '--batch',
      '1,2',
      '--profile',
      '--device',
      'cpu',
      '--json',
    );
    const document = JSON.parse(run.stdout) as {
      peakGflops: number;
      rows: { batch: number; gflops: number; shareOfPeak: number }[];
      copyGigabytesPerSecond: number;
      profiles: {
        nodes: { milliseconds: number; bytes: number; floor: { milliseconds: number } }[];
        kinds: { nodes: number; milliseconds: number }[];
      }[];
    };
    expect(document.rows.map(({ batch }) => batch)).toEqual([1, 2]);
    for (const { gflops, shareOfPeak } of document.rows) {
      expect(shareOfPeak * document.peakGflops).toBeCloseTo(gflops, 6);
    }
    const { nodes, kinds } = document.profiles[0]!;
    expect(nodes.length).toBeGreaterThan(10);
    for (const { bytes, floor } of nodes) {
      expect(floor.milliseconds).toBeGreaterThanOrEqual(bytes / document.copyGigabytesPerSecond / 1e6 - 1e-12);
    }
    const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
    expect(sumOf(kinds.map((kind) => kind.nodes))).toBe(nodes.length);
    expect(sumOf(kinds.map((kind) => kind.milliseconds))).toBeCloseTo(sumOf(nodes.map((node) => node.milliseconds)), 9);
    const plain = await dpm('bench', 'nfe', '--network', 'mnist', '--batch', '1', '--device', 'cpu', '--json');
    expect(Object.keys(JSON.parse(plain.stdout) as object)).not.toContain('profiles');
    const boundary = JSON.parse((await dpm('bench', 'boundary', '--device', 'cpu', '--json')).stdout) as {
      rows: unknown[];
    };
    expect(boundary.rows).toHaveLength(2);
  });
});
