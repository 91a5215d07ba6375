import { callOpcodes } from './calls.js';
import { MAX_DEPTH, MAX_UNFOLDED } from './limits.js';
import { Machine, type Handler } from './machine.js';
import { byCode, opcodeName, type OpcodeName } from './opcodes.js';
import { PickleReader } from './pickle-reader.js';
import type { StorageTable } from './pickled-tensors.js';
import { PytorchTensor } from './tensor.js';
import { containerOpcodes, memoOpcodes, scalarOpcodes } from './value-opcodes.js';
import { describe, isKey, type MachineValue, type PickleKey, type PickleValue } from './values.js';

type Container = MachineValue[] | Map<PickleKey, MachineValue>;

/** Container on the way, its children and the facts about those already visited. */
interface Visit {
  container: Container;
  children: Iterator<MachineValue, undefined>;
  height: number;
  unfolded: number;
}

function isContainer(value: MachineValue): value is Container {
  return Array.isArray(value) || value instanceof Map;
}

function checkLeaf(value: MachineValue, machine: Machine): void {
  if (isKey(value) || value instanceof PytorchTensor || value instanceof Uint8Array) return;
  machine.fail(`${describe(value)} is left as a value, which is not allowed in a checkpoint`, 'ERR_DPM_PICKLE');
}

/**
 * Checks that a value is one that callers can walk through with plain recursion: only types of {@link PickleValue}, no
 * cycles, of limited depth, and not too large when everything shared is followed each time. Visits each container once.
 */
export function checkedValue(root: MachineValue, machine: Machine): PickleValue {
  const finished = new Map<Container, { height: number; unfolded: number }>();
  const open = new Set<Container>();
  const path: Visit[] = [];

  const enter = (container: Container): void => {
    if (open.has(container)) machine.fail('a value contains itself');
    if (path.length >= MAX_DEPTH) machine.fail(`values are nested more than ${MAX_DEPTH} deep`);
    open.add(container);
    path.push({ container, children: container.values(), height: 1, unfolded: 1 });
  };
  const add = (visit: Visit, height: number, unfolded: number): void => {
    visit.height = Math.max(visit.height, height + 1);
    visit.unfolded += unfolded;
    if (path.length + height > MAX_DEPTH) machine.fail(`values are nested more than ${MAX_DEPTH} deep`);
    if (visit.unfolded > MAX_UNFOLDED) machine.fail(`shared values unfold to more than ${MAX_UNFOLDED}`);
  };
  const leave = ({ container, height, unfolded }: Visit): void => {
    path.pop();
    open.delete(container);
    finished.set(container, { height, unfolded });
    const parent = path.at(-1);
    if (parent !== undefined) add(parent, height, unfolded);
  };

  if (!isContainer(root)) checkLeaf(root, machine);
  else enter(root);
  for (let visit = path.at(-1); visit !== undefined; visit = path.at(-1)) {
    const next = visit.children.next();
    if (next.done === true) leave(visit);
    else if (!isContainer(next.value)) {
      checkLeaf(next.value, machine);
      add(visit, 0, 1);
    } else {
      const known = finished.get(next.value);
      if (known === undefined) enter(next.value);
      else add(visit, known.height, known.unfolded);
    }
  }
  return root as PickleValue;
}

const NEWEST_PROTOCOL = 5;

const framing: Readonly<Partial<Record<OpcodeName, Handler>>> = {
  PROTO: (machine) => {
    const version = machine.reader.u8();
    if (version > NEWEST_PROTOCOL) {
      machine.fail(`the pickle has protocol ${version}, known are 0 to ${NEWEST_PROTOCOL}`, 'ERR_DPM_UNSUPPORTED');
    }
  },
  FRAME: ({ reader }) => {
    reader.announce(reader.u64());
  },
};

const handlers = byCode({ ...framing, ...scalarOpcodes, ...containerOpcodes, ...memoOpcodes, ...callOpcodes });

const STOP = 0x2e;

/** A pickle's value, and how many bytes it took. */
export interface Unpickled {
  value: PickleValue;
  length: number;
}

/** Source of a pickle. */
export interface PickleSource {
  /** The file, and the part of it, for messages. */
  where: string;
  /** The pickle's first bytes. */
  bytes: Uint8Array;
  /** Maximum number of its bytes. */
  available: number;
  /** Offset of its first byte, for messages. */
  base: number;
}

/**
 * Reads a pickle without running anything of it: it can build numbers, strings, bytes, lists, tuples, dictionaries and
 * tensors, which refer to `storages` (null: no tensors).
 *
 * @throws {@link DpmError} `ERR_DPM_PICKLE` naming the opcode or global that is not allowed, `ERR_DPM_FILE_HEADER` and
 * `ERR_DPM_FILE_TRUNCATED` for damage, `ERR_DPM_TENSOR_*` for impossible tensors, `ERR_DPM_UNSUPPORTED`.
 * @throws {@link MoreBytesNeeded} if `bytes` are fewer than `available` and do not hold all of the pickle.
 */
export function unpickle(source: PickleSource, storages: StorageTable | null): Unpickled {
  const reader = new PickleReader(source.where, source.bytes, source.available, source.base);
  const machine = new Machine(reader, storages);
  for (;;) {
    const code = machine.nextOpcode();
    if (code === STOP) break;
    const handler = handlers.get(code);
    if (handler === undefined) {
      machine.fail(`opcode ${opcodeName(code)} is not allowed in a checkpoint`, 'ERR_DPM_PICKLE');
    } else handler(machine);
  }
  const value = machine.pop();
  if (!machine.isEmpty) machine.fail('values are left on the stack');
  return { value: checkedValue(value, machine), length: reader.position };
}
