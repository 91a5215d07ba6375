// dpm sample: where samples go, and what is asked of them.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { dpm, dpmMain } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const mnist = packagePath('models/mnist');
const temporary = (name: string): string => join(folder, name);

describe('dpm sample', () => {
  const base = ['sample', mnist, '--device', 'cpu', '--sampler', 'ddim', '--steps', '3', '--count', '3', '--seed', '7'];

  it('writes a grid, a folder or tensors, and snapshots beside them', async () => {
    const [grid, images, tensors] = ['grid.png', 'images', 'x.safetensors'].map(temporary);
    expect((await dpm(...base, '--out', grid!)).code).toBe(0);
    expect(decode(readFileSync(grid!))).toMatchObject({ width: 2 * 112 + 2, height: 2 * 112 + 2, channels: 1 });
    expect((await dpm(...base, '--out', grid!, '--scale', '1')).code).toBe(0);
    expect(decode(readFileSync(grid!))).toMatchObject({ width: 58, height: 58 });
    expect((await dpm(...base, '--out', images!)).code).toBe(0);
    expect(readdirSync(images!)).toEqual(['00000.png', '00001.png', '00002.png']);
    expect(decode(readFileSync(join(images!, '00000.png')))).toMatchObject({ width: 28, height: 28 });
    const run = await dpm(...base, '--out', tensors!, '--save-every', '2', '--json');
    expect(JSON.parse(run.stdout)).toMatchObject({ count: 3, device: 'cpu' });
    expect((await readSafetensorsHeader(tensors!)).tensors.get('images')?.shape).toEqual([3, 1, 28, 28]);
    expect(existsSync(temporary('x-record-0002.safetensors'))).toBe(true);
  });

  it('begins with any sample of a seed', async () => {
    const imagesOf = async (name: string, ...more: string[]): Promise<Float32Array> => {
      expect((await dpm(...base, ...more, '--out', temporary(name))).code).toBe(0);
      return (await readFloats(await readSafetensorsHeader(temporary(name)), 'images')).data;
    };
    const all = await imagesOf('all.safetensors');
    expect(await imagesOf('last.safetensors', '--first', '1', '--count', '2')).toEqual(all.subarray(784));
  });

  it('finds the optimal trajectory of a fixed variance from a table of errors', async () => {
    const [data, costs, out] = ['data.safetensors', 'costs.json', 'optimal.safetensors'].map(temporary);
    const { writeSafetensors } = await import('../../../lib/files/tensor-data.js');
    const levels = Uint8Array.from({ length: 4 * 784 }, (_, i) => (i * 37) % 256);
    await writeSafetensors(data!, { images: { shape: [4, 1, 28, 28], data: levels } });
    const estimated = ['--samples', '4', '--timesteps', '1,10,100,400,1000', '--device', 'cpu'];
    expect((await dpm('costs', mnist, '--data', data!, ...estimated, '--out', costs!)).code).toBe(0);
    const optimal = ['--trajectory', 'optimal', '--costs', costs!, '--out', out!, '--device', 'cpu', '--steps', '4'];
    expect((await dpm('sample', mnist, '--sampler', 'ancestral', ...optimal)).code).toBe(0);
    const refused = await dpm('sample', mnist, '--sampler', 'ddpm', '--variance', 'learned', ...optimal);
    expect(refused.stderr).toMatch(/--costs is for the fixed variances/);
  });

  it.each<[string[], number, RegExp]>([
    [['sample'], 2, /\[ERR_DPM_USAGE\].*takes MODEL/],
    [['sample', mnist, '--out', 'x.safetensors', '--scale', '2'], 2, /--scale is for pictures/],
    [['sample', mnist, '--out', 'x.jpg', '--steps', '2', '--device', 'cpu'], 2, /--out x\.jpg has to be/],
    [
      ['sample', mnist, '--out', 'x.png', '--sampler', 'magic'],
      2,
      /--sampler is 'magic', it has to be one of ddpm, ddim, .*heun/,
    ],
    [['sample', mnist, '--out', 'x.png', '--sampler', 'unipcc'], 2, /'unipcc' \(did you mean 'unipc'\?\)/],
    [['sample', mnist, '--out', 'x.png', '--seed', '-1'], 2, /--seed is '-1', it has to be an integer from 0/],
    [['sample', mnist, '--out', '--json'], 2, /--out has no value before --json/],
    [['sample', mnist, '--out', '-h'], 2, /--out has no value before -h/],
    [['generate', mnist, 'a', '--out', 'x.safetensors', '--scale', '2'], 2, /--scale is for pictures/],
    [['generate', mnist, 'a', '--out', 'x.png', '--scale', '65'], 2, /--scale is 65/],
    [['plot', 'strip', mnist, '--out', 'x.png', '--scale', 'two'], 2, /--scale is 'two'/],
    [['sample', mnist, '--out'], 2, /option '--out <FILE>' argument missing \(dpm sample/],
    [['inspect', 'mnst'], 1, /no file or folder mnst \(did you mean 'mnist'\?\)/],
    [['inspect', 'package.json'], 1, /package\.json is a text file, not a safetensors file/],
    [['sample', mnist, '--out', 'x.png', '--steps', 'many', '--device', 'cpu'], 2, /--steps is 'many'/],
    [
      ['sample', mnist, '--out', 'x.png', '--steps', '2', '--eta', '3', '--device', 'cpu'],
      2,
      /\[ERR_DPM_ARGUMENT\]: eta is 3/,
    ],
    [['sample', mnist, '--out', 'x.png', '--device', 'tpu'], 1, /\[ERR_DPM_DEVICE\]/],
    [['sample', 'no-such-model', '--out', 'x.png'], 1, /\[ERR_DPM_FILE\].*no-such-model/],
    [['paint'], 2, /'paint' is not a command; commands: sample, generate/],
  ])('%j', async (args, expected, message) => {
    const { code, stderr } = await dpm(...args);
    expect(code).toBe(expected);
    expect(stderr).toMatch(/^error \[ERR_DPM_/);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(existsSync('x.png')).toBe(false);
  });

  it('ends with 130 when interrupted and leaves no file', async () => {
    const out = temporary('interrupted.png');
    const child = spawn(process.execPath, [
      dpmMain,
      'sample',
      mnist,
      '--device',
      'cpu',
      '--steps',
      '1000',
      '--count',
      '500',
      '--out',
      out,
    ]);
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    setTimeout(() => child.kill('SIGINT'), 4000);
    const code = await new Promise((resolve) => child.on('exit', resolve));
    expect(code).toBe(130);
    expect(stderr).toMatch(/^error \[ERR_DPM_ABORTED\]/);
    expect(readdirSync(folder).filter((name) => name.startsWith('interrupted'))).toEqual([]);
  });
});
