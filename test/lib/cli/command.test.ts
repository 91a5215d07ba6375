// Arguments of a command, as they are given and as they are read.
import { describe, expect, it } from 'vitest';

import { type Call, type Command } from '../../../lib/cli/command.js';
import { parseCall } from '../../../lib/cli/parser.js';

const command: Command = {
  name: 'try',
  summary: '',
  arguments: ['MODEL', '[FILE…]'],
  options: {
    value: { value: 'X', help: '' },
    each: { value: 'X', isRepeated: true, help: '' },
    switch: { help: '' },
  },
  run: () => Promise.resolve(),
};

function call(args: readonly string[], changed: Partial<Command> = {}): Call {
  const parsed = parseCall({ ...command, ...changed }, args, new AbortController().signal);
  if (parsed === null) throw new Error('a request for help');
  return parsed;
}

const valueOf = (text: string): Call['options'] => call(['m', `--value=${text}`]).options;

describe('values of options', () => {
  it.each<[string, number | undefined]>([
    ['0', 0],
    ['1.5', 1.5],
    ['-2e-3', -2e-3],
    ['', undefined],
    [' ', undefined],
    ['1,2', undefined],
    ['Infinity', undefined],
    ['NaN', undefined],
  ])('%j as a number', (text, expected) => {
    if (expected === undefined) expect(() => valueOf(text).number('value')).toThrow(/has to be a number$/);
    else expect(valueOf(text).number('value')).toBe(expected);
  });

  it.each<[string, number | undefined]>([
    ['-3', -3],
    ['9007199254740991', 2 ** 53 - 1],
    ['9007199254740992', undefined],
    ['0.5', undefined],
  ])('%j as an integer', (text, expected) => {
    if (expected === undefined) expect(() => valueOf(text).integer('value')).toThrow(/has to be an integer$/);
    else expect(valueOf(text).integer('value')).toBe(expected);
  });

  it.each<[string, readonly number[] | undefined]>([
    ['1', [1]],
    ['1,-2.5,3', [1, -2.5, 3]],
    ['1,,2', undefined],
    ['1,', undefined],
    ['', undefined],
    ['1;2', undefined],
  ])('%j as numbers', (text, expected) => {
    if (expected === undefined) expect(() => valueOf(text).numbers('value')).toThrow(/numbers separated by commas$/);
    else expect(valueOf(text).numbers('value')).toEqual(expected);
  });

  it.each<[string, number | undefined]>([
    ['7', 7],
    ['7B', 7],
    ['1KiB', 1024],
    ['1.5MiB', 1.5 * 2 ** 20],
    ['8GiB', 8 * 2 ** 30],
    ['2TiB', 2 ** 41],
    ['8GB', undefined],
    ['-1', undefined],
    ['99999999TiB', undefined],
  ])('%j as bytes', (text, expected) => {
    if (expected === undefined) expect(() => valueOf(text).bytes('value')).toThrow(/has to be a number of bytes/);
    else expect(valueOf(text).bytes('value')).toBe(expected);
  });

  it.each<[string, bigint | undefined]>([
    ['0', 0n],
    ['18446744073709551615', 2n ** 64n - 1n],
    ['1844674407370955161500', undefined],
    ['1.5', undefined],
    ['-1', undefined],
    ['', undefined],
  ])('%j as a seed', (text, expected) => {
    if (expected === undefined) expect(() => valueOf(text).seed('value')).toThrow(/has to be an integer from 0/);
    else expect(valueOf(text).seed('value')).toBe(expected);
  });

  it('are undefined where they are not given', () => {
    const { options } = call(['m']);
    const read = ['string', 'strings', 'number', 'integer', 'numbers', 'bytes', 'seed'] as const;
    expect(read.map((name) => options[name]('value'))).toEqual(read.map(() => undefined));
    expect([options.has('value'), options.flag('switch'), options.choice('value', ['a'])]).toEqual([
      false,
      false,
      undefined,
    ]);
    expect(() => options.required('value')).toThrow('--value is missing');
  });

  it('may begin like flags where they are given with =, and like texts', () => {
    const value = (...args: string[]): string | undefined => call(['m', ...args]).options.string('value');
    expect(value('--value=--switch')).toBe('--switch');
    expect(value('--value', '--switch board')).toBe('--switch board');
    expect(value('--value', '-1')).toBe('-1');
    expect(() => value('--value', '--switch')).toThrow('--value has no value before --switch');
    expect(() => value('--value', '--each=1')).toThrow('--value has no value before --each=1');
    expect(call(['m', '--', '--value', '--switch']).positionals).toEqual(['m', '--value', '--switch']);
  });

  it('may be several', () => {
    expect(call(['m', '--each', 'a', '--each', 'b', '--switch']).options.strings('each')).toEqual(['a', 'b']);
  });
});

describe('positional arguments', () => {
  const files = Array.from({ length: 20 }, (_, i) => String(i));
  it.each<[readonly string[], readonly string[], boolean]>([
    [['MODEL', '[FILE…]'], [], false],
    [['MODEL', '[FILE…]'], ['m'], true],
    [['MODEL', '[FILE…]'], files, true],
    [['MODEL', '[FILE]'], ['m', 'f'], true],
    [['MODEL', '[FILE]'], ['m', 'f', 'g'], false],
    [['MODEL', 'TEXT'], ['m'], false],
    [[], ['m'], false],
  ])('%j take %j: %s', (expected, given, isRight) => {
    const parse = (): Call => call(given, { arguments: expected });
    if (isRight) expect(parse().positionals).toEqual(given);
    else expect(parse).toThrow(/^dpm try takes /);
  });
});
