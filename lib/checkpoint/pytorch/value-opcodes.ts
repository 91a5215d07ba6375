import { isUtf8 } from 'node:buffer';

import { MAX_INTEGER_BYTES } from './limits.js';
import type { Handler, Machine } from './machine.js';
import type { OpcodeName } from './opcodes.js';
import { describe, plainInteger, type MachineValue, type PickleKey } from './values.js';

const trueOrFalse: ReadonlyMap<string, boolean> = new Map([
  ['00', false],
  ['01', true],
]);
const specialFloats: ReadonlyMap<string, number> = new Map([
  ['inf', Infinity],
  ['-inf', -Infinity],
  ['nan', NaN],
  ['-nan', NaN],
]);

/** An integer in two's complement, lowest byte first. */
function integer(machine: Machine, length: number): number | bigint {
  if (length > MAX_INTEGER_BYTES) machine.fail(`an integer has ${length} bytes, at most ${MAX_INTEGER_BYTES} are read`);
  const bytes = Buffer.from(machine.reader.take(length)).reverse();
  if (bytes.length === 0) return 0;
  return plainInteger(BigInt.asIntN(8 * length, BigInt(`0x${bytes.toString('hex')}`)));
}

function line(machine: Machine): string {
  return machine.reader.line() ?? machine.fail('a line of text does not end');
}

function decimal(machine: Machine, text: string): number | bigint {
  return /^-?\d+$/.test(text) ? plainInteger(BigInt(text)) : machine.fail(`'${text.slice(0, 40)}' is not an integer`);
}

function float(machine: Machine, text: string): number {
  const special = specialFloats.get(text);
  if (special !== undefined) return special;
  return /^[+-]?[\d.]+(?:e[+-]?\d+)?$/i.test(text) && !Number.isNaN(Number(text))
    ? Number(text)
    : machine.fail(`'${text.slice(0, 40)}' is not a number`);
}

/** Decodes UTF-8; undefined for other bytes, as a decoder that throws would make a file of such strings slow. */
function decoded(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : undefined;
}

function text(machine: Machine, length: number): string {
  return decoded(machine.reader.take(length)) ?? machine.fail('a string is not UTF-8');
}

/** A string of Python 2, which can be text or bytes. */
function oldString(machine: Machine, length: number): string | Uint8Array {
  const bytes = machine.reader.take(length);
  return decoded(bytes) ?? Uint8Array.from(bytes);
}

const push =
  (read: (machine: Machine) => Parameters<Machine['push']>[0]): Handler =>
  (machine) => {
    machine.push(read(machine));
  };

/** Opcodes that push one number, string, run of bytes, truth value or None. */
export const scalarOpcodes: Readonly<Partial<Record<OpcodeName, Handler>>> = {
  NONE: push(() => null),
  NEWTRUE: push(() => true),
  NEWFALSE: push(() => false),
  INT: push((machine) => {
    const digits = line(machine);
    return trueOrFalse.get(digits) ?? decimal(machine, digits);
  }),
  LONG: push((machine) => decimal(machine, line(machine).replace(/L$/, ''))),
  FLOAT: push((machine) => float(machine, line(machine))),
  BININT: push(({ reader }) => reader.i32()),
  BININT1: push(({ reader }) => reader.u8()),
  BININT2: push(({ reader }) => reader.u16()),
  LONG1: push((machine) => integer(machine, machine.reader.u8())),
  LONG4: push((machine) => integer(machine, machine.reader.u32())),
  BINFLOAT: push(({ reader }) => reader.f64BigEndian()),
  SHORT_BINSTRING: push((machine) => oldString(machine, machine.reader.u8())),
  BINSTRING: push((machine) => oldString(machine, machine.reader.u32())),
  SHORT_BINUNICODE: push((machine) => text(machine, machine.reader.u8())),
  BINUNICODE: push((machine) => text(machine, machine.reader.u32())),
  BINUNICODE8: push((machine) => text(machine, machine.reader.u64())),
  SHORT_BINBYTES: push(({ reader }) => Uint8Array.from(reader.take(reader.u8()))),
  BINBYTES: push(({ reader }) => Uint8Array.from(reader.take(reader.u32()))),
  BINBYTES8: push(({ reader }) => Uint8Array.from(reader.take(reader.u64()))),
};

function pushTuple(machine: Machine, items: MachineValue[]): void {
  Object.freeze(items);
  machine.push(items);
}

function smallTuple(length: number): Handler {
  return (machine) => {
    const items = Array.from({ length }, () => machine.pop());
    pushTuple(machine, items.reverse());
  };
}

function append(machine: Machine, items: readonly MachineValue[]): void {
  const list = machine.top();
  if (!Array.isArray(list) || Object.isFrozen(list)) machine.fail(`items are appended to ${describe(list)}`);
  else for (const item of items) list.push(item);
}

function setItems(machine: Machine, dictionary: MachineValue, items: readonly MachineValue[]): void {
  if (!(dictionary instanceof Map)) machine.fail(`items are set in ${describe(dictionary)}`);
  else if (items.length % 2 !== 0) machine.fail('a key has no value');
  else {
    for (let i = 0; i < items.length; i += 2) machine.setItem(dictionary, items[i] ?? null, items[i + 1] ?? null);
  }
}

function filledDictionary(machine: Machine): Map<PickleKey, MachineValue> {
  const items = machine.popToMark();
  const dictionary = machine.newDictionary();
  setItems(machine, dictionary, items);
  return dictionary;
}

/** Opcodes that build lists, tuples and dictionaries. */
export const containerOpcodes: Readonly<Partial<Record<OpcodeName, Handler>>> = {
  MARK: (machine) => {
    machine.mark();
  },
  POP: (machine) => {
    machine.pop();
  },
  POP_MARK: (machine) => {
    machine.popToMark();
  },
  EMPTY_TUPLE: (machine) => {
    pushTuple(machine, []);
  },
  TUPLE: (machine) => {
    pushTuple(machine, machine.popToMark());
  },
  TUPLE1: smallTuple(1),
  TUPLE2: smallTuple(2),
  TUPLE3: smallTuple(3),
  EMPTY_LIST: (machine) => {
    machine.push([]);
  },
  LIST: (machine) => {
    machine.push(machine.popToMark());
  },
  APPEND: (machine) => {
    const item = machine.pop();
    append(machine, [item]);
  },
  APPENDS: (machine) => {
    const items = machine.popToMark();
    append(machine, items);
  },
  EMPTY_DICT: (machine) => {
    machine.push(machine.newDictionary());
  },
  DICT: (machine) => {
    machine.push(filledDictionary(machine));
  },
  SETITEM: (machine) => {
    const value = machine.pop();
    const key = machine.pop();
    setItems(machine, machine.top(), [key, value]);
  },
  SETITEMS: (machine) => {
    const items = machine.popToMark();
    setItems(machine, machine.top(), items);
  },
};

function lineIndex(machine: Machine): number {
  const text = machine.reader.line() ?? '';
  return /^\d{1,10}$/.test(text) ? Number(text) : machine.fail('the number of a memo entry is no number');
}

function remember(index: (machine: Machine) => number): Handler {
  return (machine) => {
    machine.remember(index(machine));
  };
}

function recall(index: (machine: Machine) => number): Handler {
  return (machine) => {
    machine.recall(index(machine));
  };
}

/** Opcodes that store the top of the stack under a number, and push the stored value. */
export const memoOpcodes: Readonly<Partial<Record<OpcodeName, Handler>>> = {
  PUT: remember(lineIndex),
  BINPUT: remember(({ reader }) => reader.u8()),
  LONG_BINPUT: remember(({ reader }) => reader.u32()),
  MEMOIZE: (machine) => {
    machine.remember();
  },
  GET: recall(lineIndex),
  BINGET: recall(({ reader }) => reader.u8()),
  LONG_BINGET: recall(({ reader }) => reader.u32()),
};
