// Configurations that are damaged or made to do harm: nothing but a DpmError that names the file comes out, and soon.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import { readNamedConfig } from '../../../lib/checkpoint/config-source.js';
import { readModelFolder } from '../../../lib/checkpoint/read-model.js';
import { findWeights, openWeights } from '../../../lib/checkpoint/weight-files.js';
import { ConfigReader } from '../../../lib/files/config-reader.js';
import { readJson } from '../../../lib/files/files.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { writeSafetensors } from '../../../lib/files/tensor-data.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
let files = 0;

function fileOf(text: string | Uint8Array, extension: string): string {
  const path = join(folder, `${files++}.${extension}`);
  writeFileSync(path, text);
  return path;
}

afterEach(() => {
  vi.restoreAllMocks();
});

const keys = (count: number, line: (key: string) => string): string =>
  Array.from({ length: count }, (_, i) => line(i.toString(36))).join('');

const lines = (depth: number): string => Array.from({ length: depth }, (_, i) => `${' '.repeat(i)}a:\n`).join('');

const hostile: [string, string, RegExp, () => string | Uint8Array][] = [
  ['20000 keys', 'yaml', /bytes, at most 65536 are read of a yaml file/, () => keys(20_000, (key) => `k${key}: 1\n`)],
  ['a key twice', 'yaml', /has the key 'a' twice/, () => 'b: {a: 1, c: 2, "a": 3}'],
  ['a number twice', 'yml', /has the key '10' twice/, () => 'x:\n  10: 1\n  0xa: 1\n'],
  ['a list as key', 'yaml', /has a key that is a list or an object/, () => '? [1, 2]\n: 3'],
  ['a tag', 'yaml', /is not YAML: line 2: Unresolved tag: !foo/, () => 'a: 1\nb: !foo 1'],
  [
    'a tag of Python',
    'yaml',
    /Unresolved tag: tag:yaml.org,2002:python/,
    () => 'a: !!python/object/apply:os.system [x]',
  ],
  ['a tag of another type', 'yaml', /Unresolved tag: tag:yaml.org,2002:set/, () => 'a: !!set {b, c}'],
  ['bytes', 'yaml', /Unresolved tag/, () => '%YAML 1.1\n---\na: !!binary aGVsbG8='],
  ['an alias', 'yaml', /has an alias of YAML/, () => 'a: &x [1]\nb: *x'],
  ['an alias to itself', 'yaml', /has an alias of YAML/, () => '&x a: *x'],
  ['two documents', 'yaml', /multiple documents/, () => 'a: 1\n---\nb: 2'],
  ['65 lists', 'yaml', /is nested more than 64 deep/, () => `a: ${'['.repeat(64)}${']'.repeat(64)}`],
  ['32000 lists', 'yaml', /is nested more than 64 deep/, () => '['.repeat(32_000) + ']'.repeat(32_000)],
  ['32000 lists of lines', 'yaml', /is nested more than 64 deep/, () => '- '.repeat(32_000) + '1'],
  ['32000 keys inside each other', 'yaml', /is nested more than 64 deep/, () => '? '.repeat(32_000) + '1'],
  ['20000 lists that end', 'yaml', /is nested more than 64 deep/, () => '- '.repeat(20_000) + '\nx'],
  ['lists and objects', 'yaml', /is nested more than 64 deep/, () => '- [{a: '.repeat(9_000)],
  ['65 lines', 'yaml', /is nested more than 64 deep/, () => lines(65)],
  ['quotes', 'yaml', /is not YAML: line 1/, () => '"'.repeat(65_000)],
  ['anchors', 'yaml', /is not YAML: line 1/, () => '&a '.repeat(21_000)],
  ['bytes that are not UTF-8', 'yaml', /is not text in UTF-8/, () => Uint8Array.of(0x61, 0xff)],
  ['a list', 'yaml', /is not an object/, () => '- 1'],
  ['nothing', 'yaml', /is not an object/, () => ''],
  ['a key twice', 'json', /has the key 'ch' twice/, () => '{"family":"ho","ch":1,"ch":2}'],
  ['a million lists', 'json', /is nested more than 64 deep/, () => `{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`],
  ['a million open lists', 'json', /is nested more than 64 deep/, () => '['.repeat(1e6)],
  ['more than 16 MiB', 'json', /at most 16777216 are read of a json file/, () => ' '.repeat(16_777_217)],
  ['half an object', 'json', /is not JSON/, () => '{"a":'],
  ['bytes that are not UTF-8', 'json', /is not text in UTF-8/, () => Uint8Array.of(0x22, 0xff, 0x22)],
];

describe('hostile configurations', () => {
  it.each(hostile)('%s (%s): %s', async (_name, extension, message, make) => {
    const warn = vi.spyOn(process, 'emitWarning');
    const path = fileOf(make(), extension);
    const start = performance.now();
    const error = await readNamedConfig(path).catch((cause: unknown) => cause);
    expect(performance.now() - start).toBeLessThan(60_000);
    expect(error).toBeInstanceOf(DpmError);
    expect(error).toMatchObject({ code: 'ERR_DPM_CONFIG', message: expect.stringMatching(message) as string });
    expect((error as DpmError).message.slice(0, path.length)).toBe(path);
    expect((error as DpmError).message.length - path.length).toBeLessThan(300);
    expect(warn).not.toHaveBeenCalled();
  });

  it('of thousands of keys are fine', async () => {
    const path = fileOf(
      keys(7000, (key) => `k${key}: 1\n`),
      'yaml',
    );
    expect(Object.keys((await readNamedConfig(path)).config)).toHaveLength(7000);
  });

  it('of 64 levels and of every type of JSON are fine', async () => {
    const yaml = `a: ${'['.repeat(63)}${']'.repeat(63)}\n__proto__: {b: 1}\nc: [1.5, .inf, true, null, "x", !!str 2]\n`;
    const { config } = await readNamedConfig(fileOf(yaml, 'yml'));
    expect(Object.keys(config)).toEqual(['a', '__proto__', 'c']);
    expect(config.c).toEqual([1.5, Infinity, true, null, 'x', '2']);
    expect((await readNamedConfig(fileOf(lines(64), 'yml'))).config).toHaveProperty('a');
    expect((await readNamedConfig(fileOf(`a:\n ${'- '.repeat(63)}1`, 'yml'))).config.a).toHaveLength(1);
  });

  it('show a little of a value that is wrong', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 1e5; ++i) deep = [deep];
    const config = new ConfigReader({ deep, long: 'x'.repeat(1e6) }, 'config.json');
    expect(() => config.integer('deep', 1, { least: 0, most: 1 })).toThrow('config.json: deep is [[[[...]]]], it has');
    expect(() => config.integer('absent', undefined, { least: 0, most: 1 })).toThrow('absent is missing');
    expect(config.unsupported('deep', 'none').message).toContain('deep [[[[...]]]] is not supported');
    expect(config.error('long', 'a number').message.length).toBeLessThan(200);
  });
});

describe('numbers of a configuration', () => {
  const read = (value: unknown): number => new ConfigReader({ value }, 'x').numberOrInfinite('value', 3);

  it('are infinite where that is asked for', () => {
    expect([Infinity, -Infinity, 2].map(read)).toEqual([Infinity, -Infinity, 2]);
    expect(new ConfigReader({}, 'x').numberOrInfinite('value', 3)).toBe(3);
    for (const value of [NaN, null, 'Infinity']) expect(() => read(value)).toThrow(/x: value is .* a number/);
    expect(() => new ConfigReader({ value: Infinity }, 'x').number('value')).toThrow(/has to be a number/);
  });
});

describe('keys that occur twice in JSON', () => {
  it('are refused in the index of a sharded checkpoint', async () => {
    const inner = temporaryFolder();
    await writeSafetensors(join(inner, 'w-1.safetensors'), { a: { shape: [1], data: new Float32Array(1) } });
    const path = join(inner, 'w.safetensors.index.json');
    writeFileSync(path, '{"weight_map":{"a":"w-2.safetensors","a":"w-1.safetensors"}}');
    await expect(openWeights(await findWeights(inner, 'w'))).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: `${path} has the key 'a' twice`,
    });
  });

  it('are refused in the configuration of a folder', async () => {
    const inner = temporaryFolder();
    writeFileSync(join(inner, 'config.json'), '{"family":"ho","ch":32,"ch":64}');
    await expect(readModelFolder(inner)).rejects.toThrow(`${join(inner, 'config.json')} has the key 'ch' twice`);
  });
});

describe('what is no regular file', () => {
  it.skipIf(process.platform === 'win32')('is refused at once, pipes that nobody writes to as well', async () => {
    const pipe = join(folder, 'pipe.json');
    execFileSync('mkfifo', [pipe]);
    for (const path of [pipe, '/dev/zero', folder]) {
      await expect(readJson(path)).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
      await expect(readSafetensorsHeader(path)).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    }
    await expect(readJson(pipe)).rejects.toThrow(/pipe\.json is not a regular file/);
  });
});
