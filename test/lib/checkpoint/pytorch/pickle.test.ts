// Pickles made by hand: what PyTorch writes rarely or wrote long ago, and what no checkpoint may do.
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../../lib/base/errors.js';
import { Machine } from '../../../../lib/checkpoint/pytorch/machine.js';
import { PickleReader } from '../../../../lib/checkpoint/pytorch/pickle-reader.js';
import { StorageTable } from '../../../../lib/checkpoint/pytorch/pickled-tensors.js';
import { checkedValue, unpickle } from '../../../../lib/checkpoint/pytorch/unpickle.js';
import type { MachineValue } from '../../../../lib/checkpoint/pytorch/values.js';
import { bytes, floats, pickle, u32, u64 } from '../../../support/write-pytorch.js';

const { text, integer, tuple, dictionary, list, global, storage, tensor, whole } = pickle;

function load(data: Uint8Array): unknown {
  const source = { where: 'x.pt: data.pkl', bytes: data, available: data.length, base: 0 };
  return unpickle(source, new StorageTable(1000, 'legacy')).value;
}

function failure(data: Uint8Array): DpmError {
  try {
    load(data);
  } catch (error) {
    expect(error).toBeInstanceOf(DpmError);
    return error as DpmError;
  }
  throw new Error('it was accepted');
}

const scalars: [string, Uint8Array, unknown][] = [
  ['INT of protocol 0', bytes('I-12\n.'), -12],
  ['INT as truth value', bytes('(I00\nI01\nl.'), [false, true]],
  ['LONG of protocol 0', bytes('L-9007199254740993L\n.'), -9007199254740993n],
  ['FLOAT of protocol 0', bytes('(F1.5e3\nF-inf\nl.'), [1500, -Infinity]],
  ['LONG1 of no bytes', bytes('\x8a\x00.'), 0],
  ['LONG1, negative', bytes('\x8a\x01\xff.'), -1],
  ['LONG4', bytes('\x8b', u32(9), 'abcdefgh\x01.'), 0x16867666564636261n],
  ['SHORT_BINSTRING of text', bytes('U\x03abc.'), 'abc'],
  ['BINSTRING of bytes', bytes('T', u32(2), '\xff\x00.'), Uint8Array.of(255, 0)],
  ['BINUNICODE8', bytes('\x8d', u64(2), '\xc3\xbc.'), 'ü'],
  ['BINBYTES', bytes('B', u32(2), 'ab.'), Uint8Array.of(97, 98)],
  ['BINBYTES8', bytes('\x8e', u64(1), 'a.'), Uint8Array.of(97)],
  ['a byte order mark', whole(text('\ufeffa')), '\ufeffa'],
  ['GET and PUT of protocol 0', bytes('(I5\np0\ng0\nl.'), [5, 5]],
  ['a memo numbered from 1', bytes('(K\x05q\x01h\x01l.'), [5, 5]],
  ['POP and POP_MARK', bytes('K\x05K\x060(K\x071.'), 5],
  ['DICT', bytes('(K\x01Nd.'), new Map([[1, null]])],
  ['SETITEM', bytes('}K\x01Ns.'), new Map([[1, null]])],
  ['APPEND', bytes(']Na.'), [null]],
  ['a key twice: the last counts', whole(dictionary(text('a'), 'K\x01', text('a'), 'K\x02')), new Map([['a', 2]])],
  ['a key of Object.prototype', whole(dictionary(text('__proto__'), 'N')), new Map([['__proto__', null]])],
  [
    'an OrderedDict of pairs (Python 2)',
    whole(global('collections', 'OrderedDict'), tuple(list(list(text('a'), 'K\x01'))), 'R'),
    new Map([['a', 1]]),
  ],
  [
    'a number of numpy (Python 2)',
    whole(
      [global('numpy.core.multiarray', 'scalar'), '(', global('numpy', 'dtype'), '(U\x02i8K\x00K\x01tR'],
      '(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x08\x07\0\0\0\0\0\0\0tR',
    ),
    7,
  ],
];

/** The number 7 of numpy, of a dtype with this order of bytes. */
const numpySeven = (order: string): Uint8Array =>
  whole(
    [global('numpy.core.multiarray', 'scalar'), '(', global('numpy', 'dtype'), '(U\x02i1K\x00K\x01tR'],
    `(K\x03U\x01${order}NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x01\x07tR`,
  );

/** A dictionary whose keys are these opcodes. */
const keyed = (keys: readonly Uint8Array[]): Uint8Array => bytes('}(', ...keys.map((key) => bytes(key, 'N')), 'u.');

describe('pickles', () => {
  it.each(scalars)('%s', (_name, data, value) => {
    expect(load(data)).toEqual(value);
  });

  it.each(['<', '|', '='])('take numbers of numpy in the order %s', (order) => {
    expect(load(numpySeven(order))).toBe(7);
  });

  it('have keys as long as they may be, numbers as often as they may be, and texts as often as they like', () => {
    expect(load(bytes('}', text('x'.repeat(1024)), 'Ns.'))).toBeInstanceOf(Map);
    const small = Array.from({ length: 8192 }, (_, i) => bytes('J', u32(i)));
    const large = small.map((_, i) => bytes('\x8a\x10', u64(1), u64(i + 1)));
    const texts = Array.from({ length: 20_000 }, (_, i) => bytes(text(String(i))));
    expect((load(keyed([...small, ...large])) as Map<unknown, unknown>).size).toBe(16_384);
    expect((load(keyed(texts)) as Map<unknown, unknown>).size).toBe(20_000);
    for (const one of [bytes('J', u32(8192)), bytes('\x8a\x10', u64(1), u64(8193))]) {
      expect(failure(keyed([...small, ...large, one])).message).toMatch(/more than 16384 keys/);
    }
  });

  it('share what is shared', () => {
    const value = load(bytes('(]q\x00h\x00l.')) as unknown[];
    expect(value[0]).toBe(value[1]);
  });

  it('hold tensors of the first versions, and parts of storages', () => {
    const part = storage('k', 6, 'FloatStorage', tuple(text('view'), integer(2), integer(3)));
    const old = [
      global('torch._utils', '_rebuild_tensor'),
      '(',
      part,
      integer(1),
      tuple(integer(2)),
      tuple(integer(1)),
      'tR',
    ];
    expect(load(whole(old))).toMatchObject({ dtype: 'F32', shape: [2], stride: [1], firstElement: 1 });
    expect(failure(whole(tensor(part, integer(1), [integer(3)], [integer(1)]))).code).toBe('ERR_DPM_TENSOR_SIZE');
  });

  it('tell a reader that has only their beginning how much more they need', () => {
    const reader = new PickleReader('x', floats(1), 100, 0);
    expect(() => reader.take(50)).toThrow('50 bytes are needed');
    expect(() => reader.take(101)).toThrow(expect.objectContaining({ code: 'ERR_DPM_FILE_TRUNCATED' }));
  });
});

const allowedOpcodes = [
  '(.01FIJKLMNQRTUXabcd}eghjlpqrst])uG',
  '\x80\x85\x86\x87\x88\x89\x8a\x8bBC\x8c\x8d\x8e\x93\x94\x95',
].join('');

describe('what no checkpoint may do is refused by name', () => {
  it('every other opcode', () => {
    for (let code = 0; code < 256; ++code) {
      if (allowedOpcodes.includes(String.fromCharCode(code))) continue;
      const error = failure(bytes('\x80\x04N', Uint8Array.of(code), new Uint8Array(64).fill(0x2e)));
      expect(error.code).toBe('ERR_DPM_PICKLE');
      expect(error.message).toMatch(/x\.pt: data\.pkl, (\S+) at byte 3: opcode \1 is not allowed in a checkpoint/);
    }
    expect(failure(bytes("(S'a'\n.")).message).toContain('opcode STRING');
    expect(failure(bytes('\x82\x01.')).message).toContain('opcode EXT1');
    expect(failure(bytes('N\xff.')).message).toContain('opcode 0xff');
  });

  const calls: [string, Uint8Array, RegExp][] = [
    ['os.system', whole(global('os', 'system'), '(', text('touch /tmp/x'), 'tR'), /global 'os\.system' is not allowed/],
    ['posix.system by STACK_GLOBAL', whole(text('posix'), text('system'), '\x93'), /global 'posix\.system'/],
    ['builtins.eval', whole(global('builtins', 'eval')), /global 'builtins\.eval'/],
    ['an inherited name', whole(global('torch', 'constructor')), /global 'torch\.constructor'/],
    ['a name with dots', whole(global('torch', '_utils._rebuild_tensor_v2')), /global 'torch\._utils\._rebuild/],
    ['torch.load itself', whole(global('torch.storage', '_load_from_bytes')), /_load_from_bytes/],
    ['a name with line feeds', whole(text('os\n'), text('x'), '\x93'), /global 'os\?\.x'/],
    ['a call of a dtype', whole(global('torch', 'float32'), ')R'), /cannot be called/],
    ['a call of a storage class', whole(global('torch', 'FloatStorage'), ')R'), /FloatStorage cannot be called/],
    ['a function as value', whole(list(global('torch', 'Size'))), /torch\.Size is left as a value/],
    ['a storage as value', whole(list(storage('0', 1))), /a storage is left as a value/],
    ['a state of a list', whole(']}b'), /the state of a list is a dictionary/],
    ['a state of a tensor', whole(tensor(storage('0', 1), 'K\x00', [], []), '}b'), /the state of a tensor/],
    ['another persistent id', whole(text('storage'), 'Q'), /persistent id/],
    ['a persistent id of another kind', whole(tuple(text('module'), 'N', 'N', 'N', 'N'), 'Q'), /persistent id/],
    [
      'an object of numpy',
      whole(global('numpy', 'dtype'), '(', text('O8'), 'tR'),
      /numpy\.dtype 'O8' is not allowed .* b1, i1, /,
    ],
    ['another encoding', whole(global('_codecs', 'encode'), '(', text('x'), text('zip'), 'tR'), /_codecs\.encode/],
  ];

  it.each(calls)('%s', (_name, data, message) => {
    expect(failure(data)).toMatchObject({ code: 'ERR_DPM_PICKLE', message: expect.stringMatching(message) as string });
  });
});

describe('values that no opcode makes', () => {
  const foreign = (): MachineValue => () => 0;
  const machine = (): Machine => new Machine(new PickleReader('x.pt', bytes('.'), 1, 0), null);

  it.each([
    ['alone', foreign],
    ['in a list', () => [foreign()]],
    ['in a dictionary', () => new Map([['a', foreign()]])],
    ['of another class', () => new Date(0) as unknown as MachineValue],
    ['a symbol', () => Symbol('x') as unknown as MachineValue],
    ['undefined', () => [undefined as unknown as MachineValue]],
  ])('are not left as values: %s', (_name, make) => {
    expect(() => checkedValue(make(), machine())).toThrow(expect.objectContaining({ code: 'ERR_DPM_PICKLE' }));
  });

  it('are not keys', () => {
    const setItem = (): void => {
      machine().setItem(new Map(), foreign(), null);
    };
    expect(setItem).toThrow(/the key of a dictionary is a JavaScript function/);
  });
});

const nested = (depth: number): Uint8Array => bytes(']'.repeat(depth), 'a'.repeat(depth - 1), '.');

/** Lists that each hold the one before ten times. */
function bomb(levels: number): Uint8Array {
  const level = (i: number): Buffer =>
    bytes('](', bytes('h', Uint8Array.of(i)).toString('latin1').repeat(10), 'eq', [Uint8Array.of(i + 1)], '0');
  const last = bytes('h', Uint8Array.of(levels));
  return bytes(']q\x000', ...Array.from({ length: levels }, (_, i) => level(i)), last, '.');
}

const FILE_HEADER = 'ERR_DPM_FILE_HEADER';
const TRUNCATED = 'ERR_DPM_FILE_TRUNCATED';
const shaped = (
  elements: number,
  offset: number | bigint,
  shape: (number | bigint)[],
  stride: (number | bigint)[],
): Buffer => {
  const number = (value: number | bigint): ReturnType<typeof integer> =>
    typeof value === 'bigint' ? pickle.long(value) : integer(value);
  return whole(tensor(storage('0', elements), number(offset), shape.map(number), stride.map(number)));
};

const damaged: [string, string, () => Uint8Array][] = [
  ['nothing', TRUNCATED, () => bytes('')],
  ['no STOP', TRUNCATED, () => bytes('N')],
  ['an empty stack', FILE_HEADER, () => bytes('.')],
  ['an empty stack below a mark', FILE_HEADER, () => bytes('N(0.')],
  ['two values', FILE_HEADER, () => bytes('NN.')],
  ['a mark left open', FILE_HEADER, () => bytes('(N.')],
  ['no mark', FILE_HEADER, () => bytes('Nt.')],
  ['a key without value', FILE_HEADER, () => bytes('}(Nu.')],
  ['items for a tuple', FILE_HEADER, () => bytes(')Na.')],
  ['items for a number', FILE_HEADER, () => bytes('K\x01(NNu.')],
  ['an unknown memo entry', FILE_HEADER, () => bytes('h\x05.')],
  ['a memo with gaps', FILE_HEADER, () => bytes('Nr\xff\xff\xff\xff.')],
  ['protocol 6', 'ERR_DPM_UNSUPPORTED', () => bytes('\x80\x06N.')],
  ['a frame beyond the end', TRUNCATED, () => bytes('\x80\x04\x95', u64(2n ** 63n), 'N.')],
  ['a string beyond the end', TRUNCATED, () => bytes('X', u32(0xffffffff), 'N.')],
  ['a string of 2^63 bytes', TRUNCATED, () => bytes('\x8d', u64(2n ** 63n), 'N.')],
  ['bytes of 2^64 - 1', TRUNCATED, () => bytes('\x8e', u64(2n ** 64n - 1n), 'N.')],
  ['a string that is not UTF-8', FILE_HEADER, () => bytes('X', u32(1), '\xff.')],
  ['an endless integer', FILE_HEADER, () => bytes('\x8b', u32(1e6), new Uint8Array(1e6), '.')],
  ['an endless line', FILE_HEADER, () => bytes('L', '1'.repeat(1e6), 'L\n.')],
  ['a global that does not end', TRUNCATED, () => bytes('cos')],
  ['an integer of letters', FILE_HEADER, () => bytes('I0x10\n.')],
  ['a long integer with an L inside', FILE_HEADER, () => bytes('L1L2\n.')],
  ['a number of numpy with its highest byte first', 'ERR_DPM_UNSUPPORTED', () => numpySeven('>')],
  ...['constructor', 'toString', 'valueOf', '__proto__', 'hasOwnProperty'].flatMap((name): typeof damaged => [
    [`the integer ${name}`, FILE_HEADER, () => bytes(`I${name}\n.`)],
    [`the float ${name}`, FILE_HEADER, () => bytes(`F${name}\n.`)],
    [`the key ${name}`, FILE_HEADER, () => bytes(`}I${name}\nNs.`)],
  ]),
  ['a list inside itself', FILE_HEADER, () => bytes(']q\x00h\x00a.')],
  ['a dictionary inside itself', FILE_HEADER, () => bytes('}q\x00K\x01]h\x00as.')],
  ['a tuple inside itself', FILE_HEADER, () => bytes(']q\x00h\x00\x85a.')],
  ['129 lists', FILE_HEADER, () => nested(129)],
  ['a million lists', FILE_HEADER, () => nested(1_000_000)],
  [
    'a deep list, seen from above later',
    FILE_HEADER,
    () => bytes('](', nested(100).subarray(0, -1), 'q\x00', ']'.repeat(60), 'h\x00', 'a'.repeat(60), 'e.'),
  ],
  [
    'a deep list with a shallow one behind it, seen from above later',
    FILE_HEADER,
    () => bytes('](](', nested(100).subarray(0, -1), ']eq\x00', ']'.repeat(60), 'h\x00', 'a'.repeat(60), 'e.'),
  ],
  ['references that unfold without end', FILE_HEADER, () => bomb(30)],
  ['two million open values', FILE_HEADER, () => bytes('N'.repeat(2_000_000), '.')],
  ['two million open marks', FILE_HEADER, () => bytes('('.repeat(2_000_000), '.')],
  ['ten million values', FILE_HEADER, () => bytes('N0'.repeat(10_000_000), '.')],
  ['two million lists', FILE_HEADER, () => bytes(']0'.repeat(2_000_000), '.')],
  ['two million dictionaries', FILE_HEADER, () => bytes('}0'.repeat(2_000_000), '.')],
  [
    '100000 keys that are numbers',
    FILE_HEADER,
    () => bytes('}(', ...Array.from({ length: 100_000 }, (_, i) => bytes('J', u32(i), 'N')), 'u.'),
  ],
  [
    'one list made a dictionary again and again',
    FILE_HEADER,
    () =>
      bytes(
        '](',
        ')'.repeat(20_000),
        'eq\x000',
        bytes('c', 'collections\nOrderedDict\n', 'h\x00\x85R0').toString('latin1').repeat(20_000),
        'N.',
      ),
  ],
  [
    'one text encoded again and again',
    FILE_HEADER,
    () =>
      bytes(
        text('x'.repeat(1e6)),
        'q\x000',
        text('latin1'),
        'q\x010',
        'c_codecs\nencode\nq\x020',
        'h\x02h\x00h\x01\x86R0'.repeat(20_000),
        'N.',
      ),
  ],
  ['a long key', FILE_HEADER, () => bytes('}', text('x'.repeat(1025)), 'Ns.')],
  ['a storage with a long key', FILE_HEADER, () => whole(list(storage('x'.repeat(1025), 1)))],
  ['a tuple as key', 'ERR_DPM_UNSUPPORTED', () => bytes('})Ns.')],
  ['a negative number of elements', FILE_HEADER, () => whole(list(storage('0', -1)))],
  ['a storage beyond the file', 'ERR_DPM_TENSOR_SIZE', () => whole(list(storage('0', 1000)))],
  ['a storage of 2^62 elements', FILE_HEADER, () => whole(list(storage('0', 2n ** 62n)))],
  ['a storage with two sizes', FILE_HEADER, () => whole(list(storage('0', 1), storage('0', 2)))],
  ['a storage with two types', FILE_HEADER, () => whole(list(storage('0', 1), storage('0', 1, 'IntStorage')))],
  [
    'a part beyond its storage',
    'ERR_DPM_TENSOR_SIZE',
    () => whole(list(storage('0', 4, 'FloatStorage', tuple(text('v'), integer(2), integer(3))))),
  ],
  ['a tensor beyond its storage', 'ERR_DPM_TENSOR_SIZE', () => shaped(4, 0, [5], [1])],
  ['an offset beyond it', 'ERR_DPM_TENSOR_SIZE', () => shaped(4, 1, [4], [1])],
  ['an empty tensor beyond it', 'ERR_DPM_TENSOR_SIZE', () => shaped(4, 5, [0], [1])],
  ['strides beyond it', 'ERR_DPM_TENSOR_SIZE', () => shaped(4, 0, [2, 2], [3, 1])],
  ['a stride of 2^53 - 1', 'ERR_DPM_TENSOR_SIZE', () => shaped(4, 0, [3], [2n ** 53n - 1n])],
  ['a stride of 2^63 - 1', 'ERR_DPM_TENSOR_SHAPE', () => shaped(4, 0, [2], [2n ** 63n - 1n])],
  ['a negative stride', 'ERR_DPM_TENSOR_SHAPE', () => shaped(4, 3, [4], [-1])],
  ['a negative size', 'ERR_DPM_TENSOR_SHAPE', () => shaped(4, 0, [-1], [1])],
  ['a negative offset', FILE_HEADER, () => shaped(4, -1, [1], [1])],
  ['an overflowing shape of stride 0', 'ERR_DPM_TENSOR_SIZE', () => shaped(4, 0, [2n ** 40n, 2n ** 40n], [0, 0])],
  ['sizes without strides', 'ERR_DPM_TENSOR_SHAPE', () => shaped(4, 0, [2, 2], [1])],
  ['nine sizes', 'ERR_DPM_TENSOR_SHAPE', () => shaped(4, 0, Array<number>(9).fill(1), Array<number>(9).fill(1))],
];

describe('damaged and malicious pickles', () => {
  it.each(damaged)('%s: %s', (_name, code, make) => {
    const data = make();
    const start = performance.now();
    const error = failure(data);
    expect(error.code).toBe(code);
    expect(error.message).toContain('x.pt: data.pkl');
    expect(performance.now() - start).toBeLessThan(60_000);
  });

  it('of 128 lists and of references that unfold little are fine', () => {
    expect(load(nested(128))).toBeInstanceOf(Array);
    expect(load(bomb(6))).toHaveLength(10);
  });

  it('with every key of numbers colliding take no more than seconds', () => {
    const numbers = Array.from({ length: 16_000 }, (_, i) => bytes('\x8a\x10', u64(1), u64(i + 1), 'N'));
    const start = performance.now();
    expect((load(bytes('}(', ...numbers, 'u.')) as Map<unknown, unknown>).size).toBe(16_000);
    expect(performance.now() - start).toBeLessThan(60_000);
  });
});
