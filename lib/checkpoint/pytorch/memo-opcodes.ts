import type { Handler, Machine } from './machine.js';
import type { OpcodeName } from './opcodes.js';

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

/** Opcodes that store the top of the stack under a number, and push what is stored. */
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
