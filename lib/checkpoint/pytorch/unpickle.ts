import { callOpcodes } from './call-opcodes.js';
import { containerOpcodes } from './container-opcodes.js';
import { Machine, type Handler } from './machine.js';
import { memoOpcodes } from './memo-opcodes.js';
import { byCode, opcodeName, type OpcodeName } from './opcodes.js';
import { PickleReader } from './pickle-reader.js';
import { checkedValue } from './plain-value.js';
import { scalarOpcodes } from './scalar-opcodes.js';
import type { StorageTable } from './storage-table.js';
import type { PickleValue } from './values.js';

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

/** Where a pickle lies. */
export interface PickleSource {
  /** The file, and the part of it, for messages. */
  where: string;
  /** The pickle's first bytes. */
  bytes: Uint8Array;
  /** How many bytes it can have at most. */
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
 * @throws {@link MoreBytesNeeded} when `bytes` are fewer than `available` and do not hold all of the pickle.
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
