import type { DpmErrorCode } from '../../base/errors.js';
import { MAX_KEY_LENGTH } from './limits.js';
import { PytorchStorage } from './tensor.js';
import { describe, isCount, isTuple, StorageClass, type MachineValue } from './values.js';

type Fail = (problem: string, code?: DpmErrorCode) => never;

/** The storages a pickle refers to, by their keys. */
export class StorageTable {
  readonly byKey = new Map<string, PytorchStorage>();

  /**
   * @param fileBytes - size of the file, which no storage can exceed
   * @param form - the legacy form has a sixth field for parts of storages
   */
  constructor(
    private readonly fileBytes: number,
    private readonly form: 'zip' | 'legacy',
  ) {}

  /** The storage of `('storage', class, key, location, elements)`, the only persistent id that PyTorch writes. */
  fromPersistentId(id: MachineValue, fail: Fail): PytorchStorage {
    const fields = this.form === 'zip' ? 5 : 6;
    if (!isTuple(id) || id[0] !== 'storage' || id.length < 5 || id.length > fields) {
      return fail('a persistent id is not that of a storage', 'ERR_DPM_PICKLE');
    }
    const [, type, key, location, elements, part = null] = id;
    if (!(type instanceof StorageClass)) return fail(`the class of a storage is ${describe(type)}`);
    if (typeof key !== 'string' || key.length > MAX_KEY_LENGTH)
      return fail(`the key of a storage is ${describe(key)}, not a short string`);
    if (typeof location !== 'string') return fail(`the device of storage '${shortKey(key)}' is ${describe(location)}`);
    if (!isCount(elements)) return fail(`storage '${shortKey(key)}' has ${describe(elements)} elements`);
    const whole = this.storage(new PytorchStorage(key, type.dtype, elements), fail);
    return part === null ? whole : partOf(whole, part, fail);
  }

  /** The storage of this key, which has to be the same whenever it is mentioned. */
  private storage(mentioned: PytorchStorage, fail: Fail): PytorchStorage {
    const { key, dtype, elements, bytes } = mentioned;
    const known = this.byKey.get(key);
    if (known !== undefined) {
      return known.dtype === dtype && known.elements === elements
        ? known
        : fail(`storage '${shortKey(key)}' is mentioned with two types or sizes`);
    }
    if (bytes > this.fileBytes) {
      fail(
        `storage '${shortKey(key)}' of ${elements} elements is larger than the file, which has ${this.fileBytes} bytes`,
        'ERR_DPM_TENSOR_SIZE',
      );
    }
    this.byKey.set(key, mentioned);
    return mentioned;
  }
}

/** A key cut to a length that messages can bear. */
export function shortKey(key: string): string {
  return key.slice(0, 80);
}

/** Part of a storage, from `(key, first element, elements)`. */
function partOf(whole: PytorchStorage, part: MachineValue, fail: Fail): PytorchStorage {
  if (!isTuple(part) || part.length !== 3) return fail(`the part of a storage is ${describe(part)}`);
  const [key, firstElement, elements] = part;
  if (typeof key !== 'string' || !isCount(firstElement) || !isCount(elements)) {
    return fail('the part of a storage is not (key, offset, size)');
  }
  if (firstElement > whole.elements || elements > whole.elements - firstElement) {
    return fail(
      `elements ${firstElement} to ${firstElement + elements} of storage '${shortKey(whole.key)}' are used, it has ${whole.elements}`,
      'ERR_DPM_TENSOR_SIZE',
    );
  }
  return new PytorchStorage(key, whole.dtype, elements, { of: whole, firstElement });
}
