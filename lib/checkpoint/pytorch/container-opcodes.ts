import type { Handler, Machine } from './machine.js';
import type { OpcodeName } from './opcodes.js';
import { describe, type MachineValue, type PickleKey } from './values.js';

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
