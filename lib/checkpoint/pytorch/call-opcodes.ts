import { findGlobal } from './globals.js';
import type { Handler, Machine } from './machine.js';
import { setNumpyState } from './numpy-scalar.js';
import type { OpcodeName } from './opcodes.js';
import { Callable, describe, isTuple, NumpyDtype, type MachineValue } from './values.js';

const shown = (text: string): string => text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?');

function pushGlobal(machine: Machine, module: string, name: string): void {
  const global = findGlobal(module, name);
  if (global === undefined) {
    machine.fail(
      `global '${shown(`${module}.${name}`)}' is not allowed in a checkpoint; save the state dict alone, which needs tensors and dictionaries only`,
      'ERR_DPM_PICKLE',
    );
  } else machine.push(global);
}

function stackGlobal(machine: Machine): void {
  const name = machine.pop();
  const module = machine.pop();
  if (typeof name !== 'string' || typeof module !== 'string') machine.fail('a global has no name');
  else pushGlobal(machine, module, name);
}

function reduce(machine: Machine): void {
  const args = machine.pop();
  const callable = machine.pop();
  if (!isTuple(args)) machine.fail(`the arguments of a call are ${describe(args)}`);
  else if (callable instanceof Callable) machine.push(callable.call(args, machine));
  else machine.fail(`${describe(callable)} cannot be called in a checkpoint`, 'ERR_DPM_PICKLE');
}

/** PyTorch hangs notes of its own on dictionaries of weights (`_metadata`); nothing here needs them. */
function build(machine: Machine): void {
  const state: MachineValue = machine.pop();
  const target = machine.top();
  if (target instanceof NumpyDtype) setNumpyState(target, state, machine);
  else if (!(target instanceof Map && state instanceof Map)) {
    machine.fail(`the state of ${describe(target)} is ${describe(state)}, which is not allowed`, 'ERR_DPM_PICKLE');
  }
}

function persistentId(machine: Machine): void {
  const id = machine.pop();
  if (machine.storages === null) machine.fail('there is a storage where none can be');
  else machine.push(machine.storages.fromPersistentId(id, machine.fail));
}

/** Opcodes that name globals and call them; nothing but the functions of globals.ts can run. */
export const callOpcodes: Readonly<Partial<Record<OpcodeName, Handler>>> = {
  GLOBAL: (machine) => {
    const module = machine.reader.line() ?? machine.fail('the name of a module does not end');
    const name = machine.reader.line() ?? machine.fail('the name of a global does not end');
    pushGlobal(machine, module, name);
  },
  STACK_GLOBAL: stackGlobal,
  REDUCE: reduce,
  BUILD: build,
  BINPERSID: persistentId,
};
