import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { linear, stepProgram, stepRecord } from '../../../lib/program/builder.js';
import { packRecord, packRecords, RECORD_BYTES, recordFlags } from '../../../lib/program/pack.js';
import type { StepRecord } from '../../../lib/program/record.js';
import { randomProgram } from '../../support/random-program.js';

function words(records: StepRecord[]): {
  integer: (record: number, word: number) => number;
  float: (record: number, word: number) => number;
} {
  const view = new DataView(packRecords(stepProgram(records, { history: 4 })).buffer);
  return {
    integer: (record, word) => view.getUint32(record * RECORD_BYTES + 4 * word, true),
    float: (record, word) => view.getFloat32(record * RECORD_BYTES + 4 * word, true),
  };
}

describe('binary records', () => {
  it('have every field at its word', () => {
    const { integer, float } = words([
      stepRecord({
        time: 4,
        inputScale: 5,
        read: 'y',
        prediction: { input: 6, output: 7 },
        clip: { kind: 'static', low: 8, high: 9 },
        store: { slot: 2, input: 10, data: 11 },
        x: { x: 12, y: 13, out: 14, history: [0, 0, 17] },
        variance: {
          kind: 'linear',
          offset: 24,
          head: 25,
          epsilonSquared: 26,
          epsilon: { input: 27, output: 28 },
          low: 29,
          high: 30,
        },
        y: { x: 31, y: 32, out: 33, history: [0, 0, 36] },
      }),
      stepRecord({
        time: 0,
        clip: { kind: 'dynamic', quantile: 0.995, floor: 1 },
        x: linear({}),
        variance: { kind: 'scalar', deviation: 23 },
      }),
      stepRecord({ time: 0, x: linear({}), variance: { kind: 'log', offset: 1, head: 2, low: 3, high: 4 } }),
      stepRecord({ time: 0, clip: { kind: 'dynamic', quantile: 1, floor: 1, ceiling: 42 } }),
    ]);
    const { evaluate, readY, writeX, writeY } = recordFlags;
    expect([0, 1, 2, 3].map((word) => integer(0, word))).toEqual([evaluate | readY | writeX | writeY, 2, 1, 2]);
    for (const word of [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 36]) {
      expect(float(0, word)).toBe(word);
    }
    for (let word = 42; word < 48; ++word) expect(integer(0, word)).toBe(0);
    expect([integer(1, 2), integer(1, 3), float(1, 8), float(1, 9), float(1, 23)]).toEqual([
      2,
      1,
      Math.fround(0.995),
      1,
      23,
    ]);
    expect([float(1, 42), float(3, 42)]).toEqual([Infinity, 42]);
    expect([integer(2, 3), float(2, 24), float(2, 25), float(2, 29), float(2, 30)]).toEqual([3, 1, 2, 3, 4]);
  });

  it('have the variance of a guide only where one reads it', () => {
    const fields = { time: 0, x: linear({ x: 1 }), guide: { stored: 0, x: 1, xVariance: 0, y: 0 } };
    const guideVariance = { kind: 'scalar', deviation: 2 } as const;
    const guided = stepRecord({ ...fields, guideVariance });
    expect(packRecord(guided, false)).toEqual(packRecord(stepRecord(fields), false));
    const reads = { ...guided, guide: { ...fields.guide, xVariance: 1 } };
    expect(packRecord(reads, false)).not.toEqual(packRecord({ ...reads, guideVariance: { kind: 'none' } }, false));
  });

  it('keep a prediction only when a later record reads it before it is overwritten', () => {
    const store = (slot: number): StepRecord['store'] => ({ slot, input: 0, data: 1 });
    const { integer } = words([
      stepRecord({ time: 0, store: store(0) }),
      stepRecord({ time: 0, store: store(1), x: linear({ history: [1] }) }),
      stepRecord({ time: 0, store: store(1), x: linear({ history: [0, 1] }) }),
      stepRecord({ time: 0, store: store(0), y: linear({ history: [0, -1] }) }),
    ]);
    expect([0, 1, 2, 3].map((record) => (integer(record, 0) & recordFlags.storeHistory) !== 0)).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });
});

describe('validation', () => {
  const record = (fields: Partial<StepRecord>): StepRecord => stepRecord({ time: 0, ...fields });

  it.each<[string, StepRecord[], RegExp]>([
    ['no record', [], /at least one/],
    ['a slot read before it is written', [record({ x: linear({ history: [0, 1] }) })], /record 0.*slot 1/],
    ['a number that is not finite', [record({ time: NaN })], /time is NaN/],
    ['a number beyond float32', [record({ x: linear({ x: 1e300 }) })], /finite float32/],
    ['a negative deviation', [record({ x: linear({}), variance: { kind: 'scalar', deviation: -1 } })], /is negative/],
    ['noise without an update of x', [record({ variance: { kind: 'scalar', deviation: 1 } })], /does not write x/],
    [
      'a negative bound',
      [record({ x: linear({}), variance: { kind: 'log', offset: 0, head: 0, low: -1, high: 1 } })],
      /low/,
    ],
    ['a quantile above one', [record({ clip: { kind: 'dynamic', quantile: 2, floor: 1 } })], /quantile/],
    ...[0, NaN, Infinity, 1e-60].map((ceiling): [string, StepRecord[], RegExp] => [
      `a ceiling of ${ceiling}`,
      [record({ clip: { kind: 'dynamic', quantile: 1, floor: 1, ceiling } })],
      /record 0: clip\.ceiling/,
    ]),
    ['a clip turned around', [record({ clip: { kind: 'static', low: 1, high: -1 } })], /exceeds/],
    ...(
      [
        ['x.out', { x: linear({ out: 1 }) }],
        ['y.out', { y: linear({ out: 1 }) }],
        ['x.out', { x: linear({ out: -1 }) }],
        ['x.history', { x: linear({ history: [1] }) }],
        ['y.history', { y: linear({ history: [-1] }) }],
        ["clip 'static'", { clip: { kind: 'static', low: -1, high: 1 } }],
        ["variance 'log'", { x: linear({}), variance: { kind: 'log', offset: 0, head: 1, low: 0, high: 1 } }],
        [
          "variance 'linear'",
          {
            x: linear({}),
            variance: {
              kind: 'linear',
              offset: 1,
              head: 0,
              epsilonSquared: 0,
              epsilon: { input: 0, output: 1 },
              low: 0,
              high: 1,
            },
          },
        ],
      ] satisfies [string, Partial<StepRecord>][]
    ).map(([use, fields]): [string, StepRecord[], RegExp] => [
      `${use} before the first evaluation`,
      [record({ evaluate: false }), record({ evaluate: false, ...fields })],
      new RegExp(`^record 1: ${use} needs the network's output`),
    ]),
    [
      'a prediction from before the first evaluation',
      [record({ evaluate: false }), record({ store: { slot: 1, input: 0, data: 1 }, x: linear({ history: [1] }) })],
      /record 1.*slot 0/,
    ],
    [
      'a guide of a state that is not written',
      [record({ x: linear({}), guide: { stored: 0, x: 1, xVariance: 0, y: 1 } })],
      /record 0: a guide moves y/,
    ],
    ['a slot beyond eight', [record({ store: { slot: 8, input: 0, data: 1 } })], /history is 9/],
  ])('refuses %s', (_name, records, message) => {
    expect(() => stepProgram(records)).toThrow(message);
  });

  it('accepts a deviation of 0', () => {
    const silent = record({ x: linear({}), variance: { kind: 'scalar', deviation: 0 } });
    expect(stepProgram([silent]).records).toEqual([silent]);
  });

  it('accepts every program of the generator', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const program = randomProgram(seed, 12);
        expect(packRecords(program)).toHaveLength(12 * RECORD_BYTES);
      }),
    );
  });
});
