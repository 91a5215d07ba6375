// Where results go when the command line does not say.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { freePath, modelName, writeOut } from '../../../lib/cli/default-target.js';
import { OptionValues } from '../../../lib/cli/option-values.js';
import { scaleFor } from '../../../lib/cli/picture-scale.js';
import { shownScale } from '../../../lib/images/picture-options.js';
import { dpmMain } from '../../support/dpm.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();

describe('a path that nobody gave', () => {
  it.each([
    ['mnist', 'mnist'],
    ['./models/mnist/', 'mnist'],
    ['runs/faces-2.safetensors', 'faces-2'],
    ['google/ddpm-cat-256', 'ddpm-cat-256'],
    ['.', basename(process.cwd())],
    ['/', 'samples'],
  ])('of the model %s is named %s', (model, name) => {
    expect(modelName(model)).toBe(name);
  });

  it('is that of no file or folder that is there', async () => {
    const name = join(folder, 'mnist');
    expect(await freePath(name, '.png')).toBe(`${name}.png`);
    writeFileSync(`${name}.png`, '');
    mkdirSync(`${name}-2.png`);
    expect(await freePath(name, '.png')).toBe(`${name}-3.png`);
    expect(await freePath(name, '.svg')).toBe(`${name}.svg`);
  });

  it('is in the working folder, for pictures, tables and plots', () => {
    const cwd = join(folder, 'work');
    mkdirSync(cwd);
    const run = (...args: string[]): string => execFileSync(process.execPath, [dpmMain, ...args], { cwd }).toString();
    const drawn = ['sample', 'mnist', '--device', 'cpu', '--steps', '1'];
    expect(run(...drawn)).toMatch(/^1 sample in .* -> mnist\.png\n/);
    const first = readFileSync(join(cwd, 'mnist.png'));
    expect(decode(first)).toMatchObject({ width: 112, height: 112 });
    expect(run(...drawn, '--seed', '5')).toMatch(/ -> mnist-2\.png\n/);
    expect(readFileSync(join(cwd, 'mnist.png')).equals(first)).toBe(true);
    expect(run('plot', 'variance', 'mnist', '--steps', '5')).toBe('variance.svg\n');
    expect(readdirSync(cwd)).toEqual(['mnist-2.png', 'mnist.png', 'variance.svg']);
    expect(existsSync('mnist.png')).toBe(false);
  });
});

describe('runs side by side', () => {
  it('write files of their own', async () => {
    const cwd = join(folder, 'side');
    mkdirSync(cwd);
    const draw = (seed: number): Promise<unknown> =>
      promisify(execFile)(process.execPath, [dpmMain, 'sample', 'mnist', '--steps', '1', '--seed', String(seed)], {
        cwd,
      });
    await Promise.all([1, 2, 3].map(draw));
    const files = readdirSync(cwd).map((name) => readFileSync(join(cwd, name)).toString('hex'));
    expect(new Set(files).size).toBe(3);
    expect(readdirSync(cwd)).toEqual(['mnist-2.png', 'mnist-3.png', 'mnist.png']);
  });

  it('take a free name when they write, and give it back where that fails', async () => {
    const name = join(folder, 'late');
    const written: string[] = [];
    const write = (path: string): Promise<void> => {
      written.push(path);
      // Another run comes in between.
      return existsSync(path) ? Promise.resolve() : Promise.reject(new Error('not claimed'));
    };
    const none = new OptionValues({});
    expect(await writeOut(none, name, '.png', write)).toBe(`${name}.png`);
    expect(await writeOut(none, name, '.png', write)).toBe(`${name}-2.png`);
    await expect(writeOut(none, name, '.png', () => Promise.reject(new Error('full')))).rejects.toThrow('full');
    expect(existsSync(`${name}-3.png`)).toBe(false);
    const given = new OptionValues({ out: join(folder, 'given.png') });
    await expect(writeOut(given, name, '.png', write)).rejects.toThrow('not claimed');
    expect(written.at(-1)).toBe(join(folder, 'given.png'));
  });
});

describe('the scale of pictures', () => {
  it.each([
    [1, 1, 128],
    [28, 28, 4],
    [32, 32, 4],
    [32, 64, 2],
    [64, 32, 2],
    [65, 1, 1],
    [512, 512, 1],
  ])('of images of %i x %i is %i', (height, width, scale) => {
    expect(shownScale(height, width)).toBe(scale);
  });

  it.each([
    ['a.png', 64, 4],
    ['a.png', 1296, 4],
    ['a.png', 1297, 3],
    ['a.png', 60_000, 1],
    ['-', 1, 4],
    ['folder', 1, undefined],
    ['a.safetensors', 1, undefined],
  ])('in %s of %i digits is %s', (out, count, scale) => {
    expect(scaleFor(new OptionValues({}), out, [count, 1, 28, 28])).toBe(scale);
  });
});
