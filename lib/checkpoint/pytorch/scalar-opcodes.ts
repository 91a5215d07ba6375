import { isUtf8 } from 'node:buffer';

import { MAX_INTEGER_BYTES } from './limits.js';
import type { Handler, Machine } from './machine.js';
import type { OpcodeName } from './opcodes.js';

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

function normalized(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** An integer in two's complement, lowest byte first. */
function integer(machine: Machine, length: number): number | bigint {
  if (length > MAX_INTEGER_BYTES) machine.fail(`an integer has ${length} bytes, at most ${MAX_INTEGER_BYTES} are read`);
  const bytes = Buffer.from(machine.reader.take(length)).reverse();
  if (bytes.length === 0) return 0;
  return normalized(BigInt.asIntN(8 * length, BigInt(`0x${bytes.toString('hex')}`)));
}

function line(machine: Machine): string {
  return machine.reader.line() ?? machine.fail('a line of text does not end');
}

function decimal(machine: Machine, text: string): number | bigint {
  return /^-?\d+$/.test(text) ? normalized(BigInt(text)) : machine.fail(`'${text.slice(0, 40)}' is not an integer`);
}

function float(machine: Machine, text: string): number {
  const special = specialFloats.get(text);
  if (special !== undefined) return special;
  return /^[+-]?[\d.]+(?:e[+-]?\d+)?$/i.test(text) && !Number.isNaN(Number(text))
    ? Number(text)
    : machine.fail(`'${text.slice(0, 40)}' is not a number`);
}

/** Undefined for what is not UTF-8; a decoder that throws would make a file of such strings slow. */
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
