import { DpmError, type DpmErrorCode } from '../../base/errors.js';
import { MAX_DICTS, MAX_KEY_LENGTH, MAX_NUMBER_KEYS, MAX_OBJECTS, MAX_STACK, MAX_VALUES } from './limits.js';
import { opcodeName } from './opcodes.js';
import type { PickleReader } from './pickle-reader.js';
import type { StorageTable } from './pickled-tensors.js';
import { describe, isKey, type CallContext, type MachineValue, type PickleKey } from './values.js';

/** Function for one opcode. */
export type Handler = (machine: Machine) => void;

/** The stack, the marks and the memo of a pickle being read, with their limits. */
export class Machine implements CallContext {
  /** Position of the present opcode, followed by its code. */
  private opcodePosition = 0;
  private opcode = 0;
  private stack: MachineValue[] = [];
  private readonly marks: number[] = [];
  private readonly memo: MachineValue[] = [];
  private values = 0;
  private objects = 0;
  private dictionaries = 0;
  private numberKeys = 0;

  /** @param storages - Storages of tensors; null if tensors make no sense */
  constructor(
    readonly reader: PickleReader,
    readonly storages: StorageTable | null,
  ) {}

  /** Takes the next opcode, which messages name from then on. */
  nextOpcode(): number {
    this.opcodePosition = this.reader.position;
    return (this.opcode = this.reader.u8());
  }

  readonly fail = (problem: string, code: DpmErrorCode = 'ERR_DPM_FILE_HEADER'): never => {
    const place = `${opcodeName(this.opcode)} at byte ${this.reader.base + this.opcodePosition}`;
    throw new DpmError(code, `${this.reader.where}, ${place}: ${problem}`);
  };

  readonly spend = (values: number): void => {
    this.values += values;
    if (this.values > MAX_VALUES) this.fail(`a checkpoint holds at most ${MAX_VALUES} values`);
  };

  /** Pushes a value that has just been made. */
  push(value: MachineValue): void {
    if (typeof value === 'object' && value !== null && ++this.objects > MAX_OBJECTS) {
      this.fail(`a checkpoint holds at most ${MAX_OBJECTS} lists, dictionaries and other objects`);
    }
    this.pushKnown(value);
  }

  private pushKnown(value: MachineValue): void {
    this.spend(1);
    if (this.stack.length >= MAX_STACK) this.fail(`more than ${MAX_STACK} values wait on the stack`);
    this.stack.push(value);
  }

  /** Takes the value on top, but none from below the last mark. */
  pop(): MachineValue {
    const value = this.stack.length > (this.marks.at(-1) ?? 0) ? this.stack.pop() : undefined;
    return value ?? (value === null ? null : this.fail('the stack is empty'));
  }

  /** The value on top, which stays. */
  top(): MachineValue {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  mark(): void {
    if (this.marks.length >= MAX_STACK) this.fail(`more than ${MAX_STACK} marks are open`);
    this.marks.push(this.stack.length);
  }

  /** Removes the last mark and returns everything above it. */
  popToMark(): MachineValue[] {
    const mark = this.marks.pop();
    return mark === undefined ? this.fail('there is no mark') : this.stack.splice(mark);
  }

  /** Tells whether no values or marks are left. */
  get isEmpty(): boolean {
    return this.stack.length === 0 && this.marks.length === 0;
  }

  /** Remembers the top value. Writers number the memo in turn, from 0 or 1; distant numbers would only waste memory. */
  remember(index: number = this.memo.length): void {
    if (index > this.memo.length + 1) this.fail(`memo entry ${index} comes after ${this.memo.length} entries`);
    while (this.memo.length < index) this.memo.push(null);
    this.memo[index] = this.top();
  }

  /** Pushes the value remembered under a number. */
  recall(index: number): void {
    const value = this.memo[index];
    this.pushKnown(value ?? (value === null ? null : this.fail(`there is no memo entry ${index}`)));
  }

  /** An empty dictionary, counted but not pushed. */
  newDictionary(): Map<PickleKey, MachineValue> {
    if (++this.dictionaries > MAX_DICTS) this.fail(`a checkpoint holds at most ${MAX_DICTS} dictionaries`);
    return new Map();
  }

  readonly setItem = (dictionary: Map<PickleKey, MachineValue>, key: MachineValue, value: MachineValue): void => {
    if (!isKey(key)) return this.fail(`the key of a dictionary is ${describe(key)}`, 'ERR_DPM_UNSUPPORTED');
    if (typeof key === 'string' && key.length > MAX_KEY_LENGTH) {
      this.fail(`the key of a dictionary has ${key.length} characters, at most ${MAX_KEY_LENGTH} are read`);
    }
    if ((typeof key === 'number' || typeof key === 'bigint') && ++this.numberKeys > MAX_NUMBER_KEYS) {
      this.fail(`more than ${MAX_NUMBER_KEYS} keys of dictionaries are numbers`);
    }
    dictionary.set(key, value);
  };
}
