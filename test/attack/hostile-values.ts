// Values that plain JavaScript can give to any argument and any option.

/** Error of traps and getters of hostile objects: it may reach the caller, as it is the caller's own. */
export const ownError = new RangeError('of the caller');

const trap = (): never => {
  throw ownError;
};

/** Class of an object that is not plain, with a length and with a kind. */
class Odd {
  readonly kind = 'step';
  readonly records = [];
  get length(): number {
    return this.records.length + 3;
  }
}

function circular(): object {
  const self: Record<string, unknown> = { kind: 'step' };
  self.self = self;
  return self;
}

function nested(depth: number): unknown {
  let value: unknown = [];
  for (let i = 0; i < depth; ++i) value = [value];
  return value;
}

/** A fresh list, by names that tell them apart in messages. */
export function hostileValues(): Map<string, unknown> {
  return new Map<string, unknown>([
    ['undefined', undefined],
    ['null', null],
    ['true', true],
    ['false', false],
    ['0', 0],
    ['-0', -0],
    ['-1', -1],
    ['0.5', 0.5],
    ['NaN', NaN],
    ['Infinity', Infinity],
    ['-Infinity', -Infinity],
    ['3e7', 3e7],
    ['2^32', 2 ** 32],
    ['2^53', 2 ** 53],
    ['1e308', 1e308],
    ['1n', 1n],
    ['-1n', -1n],
    ['2^64', 2n ** 64n],
    ["''", ''],
    ["'20'", '20'],
    ["'__proto__'", '__proto__'],
    ["'toString'", 'toString'],
    ['a long text', 'x'.repeat(100_000)],
    ['control characters', '\u001b[31m\u0000\r\n\u202e'],
    ['a lone surrogate', '\ud800'],
    ['a symbol', Symbol('s')],
    ['a function', () => 1],
    ['an object', {}],
    ['no prototype', Object.create(null)],
    ['no prototype, nested', { kind: Object.create(null) as unknown }],
    ['a large length', { length: 1e9 }],
    ['a negative length', { length: -1 }],
    ['an instance', new Odd()],
    ['a circle', circular()],
    ['deep', nested(5000)],
    ['[]', []],
    ['[NaN]', [NaN]],
    ['[null]', [null]],
    ['[symbol]', [Symbol('t')]],
    ['[[]]', [[]]],
    ['[1, 2, 3]', [1, 2, 3]],
    ['sparse', Array.from({ length: 3 }).fill(1, 0, 1)],
    ['large sparse', new Array<number>(2 ** 31)],
    ['Float32Array', new Float32Array(3)],
    ['Float32Array of NaN', new Float32Array(784).fill(NaN)],
    ['Float64Array', new Float64Array(784)],
    ['Int32Array', new Int32Array(2)],
    ['BigInt64Array', new BigInt64Array(2)],
    ['DataView', new DataView(new ArrayBuffer(8))],
    ['ArrayBuffer', new ArrayBuffer(8)],
    ['SharedArrayBuffer', new Float32Array(new SharedArrayBuffer(16))],
    ['Map', new Map([['steps', 1]])],
    ['Set', new Set([1])],
    ['Date', new Date(NaN)],
    ['RegExp', /x/],
    ['Error', new Error('an error')],
    ['URL', new URL('http://example.invalid/')],
    ['a promise', Promise.resolve(1)],
    ['an aborted signal', AbortSignal.abort(new Error('aborted'))],
    ['a frozen object', Object.freeze({ frozen: true })],
    ['a throwing proxy', new Proxy({}, { get: trap, has: trap, ownKeys: trap, getOwnPropertyDescriptor: trap })],
    ['a throwing getter', Object.defineProperty({}, 'kind', { get: trap, enumerable: true })],
    ['a throwing toString', { toString: trap, valueOf: trap, [Symbol.toPrimitive]: trap }],
    ['toJSON', { toJSON: trap }],
    ['toStringTag', { [Symbol.toStringTag]: 'Float32Array' }],
  ]);
}
