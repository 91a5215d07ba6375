import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import { shownValue } from '../../../lib/base/text.js';
import { jsonEntries, parseJson } from '../../../lib/files/parse-json.js';

const parse = (text: string): unknown => parseJson(text, (problem) => new DpmError('ERR_DPM_CONFIG', `x ${problem}`));
const entries = (text: string): [string, unknown][] => [
  ...jsonEntries(text, (problem) => new DpmError('ERR_DPM_CONFIG', `x ${problem}`)),
];
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

describe('parseJson', () => {
  it.each([
    '{"a":["a","a",{"b":1}],"b":"a\\"{"}',
    '[{"a":1},{"a":2}]',
    '{"":{"":1}}',
    '"a"',
    ' [1, {"\\\\" : "\\\\"}]',
  ])('reads %s', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it('reads whatever JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 10 }), fc.nat(4), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('refuses what JSON.parse refuses, with an error of ours', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from('{}[]",:\\u0a1 \n')) }), (text) => {
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          expect(() => parse(text)).toThrow(DpmError);
          return;
        }
        try {
          expect(parse(text)).toEqual(expected);
        } catch (error) {
          expect((error as Error).message).toMatch(/^x has the key '.*' twice$/s);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['{"a":{"c":1,"c" :2}}', 'c'],
    ['[[{"b":[],"\\u0062"\n:0}]]', 'b'],
    ['{"a":{"a":1},"a":1}', 'a'],
    ['{"__proto__":1,"__proto__":1}', '__proto__'],
  ])('refuses %s', (text, key) => {
    expect(() => parse(text)).toThrow(`x has the key '${key}' twice`);
  });

  it('refuses more than 64 levels', () => {
    expect(parse(nested(64))).toHaveLength(1);
    expect(() => parse(nested(65))).toThrow('x is nested more than 64 deep');
    expect(() => parse('{"a":'.repeat(2_000_000))).toThrow('x is nested more than 64 deep');
  });

  it.each([
    ['a string of 20 MB', () => JSON.stringify({ a: 'x'.repeat(2e7) })],
    ['20 MB of escapes', () => JSON.stringify({ a: '\\'.repeat(1e7), ['"'.repeat(1e7)]: 1 })],
    ['20 MB of spaces', () => `{"a"${' '.repeat(2e7)}:1}`],
    ['500000 keys', () => JSON.stringify(Object.fromEntries(Array.from({ length: 500_000 }, (_, i) => [`k${i}`, i])))],
    ['two million lists', () => `[${'[],'.repeat(2e6)}1]`],
  ])('takes seconds at most for %s', (_name, make) => {
    const text = make();
    const start = performance.now();
    expect(parse(text)).toBeTypeOf('object');
    expect(performance.now() - start).toBeLessThan(60_000);
  });
});

describe('shownValue', () => {
  it('shows values as JSON does', () => {
    for (const value of [null, true, -1.5, 'a"b', [], {}, [1, [2, 'x']], { a: { b: [null] } }]) {
      expect(shownValue(value)).toBe(JSON.stringify(value));
    }
  });

  it('shows a little of the largest', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 1e5; ++i) deep = { a: [deep] };
    const circle: unknown[] = [];
    circle.push(circle);
    expect(shownValue(deep)).toBe('{"a":[{"a":[...]}]}');
    expect(shownValue(circle)).toBe('[[[[...]]]]');
    expect(shownValue(2n)).toBe('2');
    for (const value of ['x'.repeat(1e6), Array(1e6).fill('x'), { ['x'.repeat(1e6)]: 1 }]) {
      expect(shownValue(value)).toHaveLength(100);
    }
  });
});

describe('numbers of Python', () => {
  const read = (text: string): unknown =>
    parseJson(text, (problem) => new DpmError('ERR_DPM_CONFIG', `x ${problem}`), { python: true });

  it('are read where they are asked for, outside strings', () => {
    expect(read('{"a": -Infinity, "b": [NaN, Infinity, 1], "NaN": "Infinity, NaN"}')).toEqual({
      a: -Infinity,
      b: [NaN, Infinity, 1],
      NaN: 'Infinity, NaN',
    });
    expect(read('{"quote \\" NaN": NaN}')).toEqual({ 'quote " NaN': NaN });
    expect(read('{"a": 1}')).toEqual({ a: 1 });
  });

  it.each(['{"a": Infinit}', '{"a": nan}', '{"a": --Infinity}', '{"a": NaNa}', '[Infinity Infinity]', '{NaN: 1}'])(
    'does not read %s',
    (text) => {
      expect(() => read(text)).toThrow(/^x is not JSON/);
    },
  );

  it('are refused elsewhere', () => {
    expect(() => parse('{"a": NaN}')).toThrow(/is not JSON/);
    expect(() => parse('[-Infinity]')).toThrow(/is not JSON/);
  });

  it('take no longer than other text', () => {
    expect(read(`[${'NaN,'.repeat(500_000)}1]`)).toHaveLength(500_001);
  });
});

describe('jsonEntries', () => {
  const entriesOf = (text: string): [string, unknown][] => Object.entries(JSON.parse(text) as object);

  it('are those of the object that the text is', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { noNullPrototype: true }),
        fc.nat(3),
        (value, indent) => {
          const text = JSON.stringify(value, null, indent);
          expect(new Map(entries(text))).toEqual(new Map(entriesOf(text)));
        },
      ),
    );
  });

  it('are refused where the text is none, and where parseJson refuses it', () => {
    const part = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"a"',
      '"b"',
      ':',
      ',',
      '1',
      '-',
      'true',
      ' ',
      '"',
      '\\',
      '{"a":1}',
      '"c":2',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const text = `{${parts.join('')}`;
        let expected: unknown;
        try {
          expected = parse(text);
        } catch {
          expect(() => entries(text)).toThrow(DpmError);
          return;
        }
        expect(Object.fromEntries(entries(text))).toEqual(expected);
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['', /it ends too early/],
    ['[1]', /is not a JSON object/],
    ['{"a":1,}', /unexpected '}' at 7/],
    ['{"a":1}x', /unexpected 'x' at 7/],
    ['{"a" 1}', /unexpected '1' at 5/],
    ['{"a":1 "b":2}', /is not JSON/],
    ['{"a":1,"a":2}', /has the key 'a' twice/],
    ['{"a":{"b":1,"b":2}}', /has the key 'b' twice/],
    [`{"a":${nested(65)}}`, /nested more than 64 deep/],
    ['{"a":}', /is not JSON/],
    ['{"a":1', /it ends too early/],
  ])('%j is refused', (text, message) => {
    expect(() => entries(text)).toThrow(message);
  });
});
