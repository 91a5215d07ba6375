import { DpmError } from '../../base/errors.js';
import type { CompactStruct, CompactValue } from './compact.js';

const utf8 = new TextDecoder();

/** Fields of a struct by their numbers; one of another kind than it has to be is an error that names it. */
export class Fields {
  /** @param where - Name in errors. */
  constructor(
    readonly where: string,
    private readonly struct: CompactStruct,
  ) {}

  /** Takes a value of a list as a struct. */
  static of(where: string, value: CompactValue): Fields {
    if (value instanceof Map) return new Fields(where, value as CompactStruct);
    throw new DpmError('ERR_DPM_FILE_HEADER', `${where} is no struct`);
  }

  has(id: number): boolean {
    return this.struct.has(id);
  }

  /** Reads an integer from 0 up. */
  count(id: number, name: string, otherwise?: number): number {
    const value = this.struct.get(id) ?? otherwise;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw this.#wrong(id, name);
    return value;
  }

  /** Reads a truth value. */
  flag(id: number, name: string, otherwise: boolean): boolean {
    const value = this.struct.get(id) ?? otherwise;
    if (typeof value !== 'boolean') throw this.#wrong(id, name);
    return value;
  }

  text(id: number, name: string): string {
    return this.#text(id, name, this.struct.get(id));
  }

  texts(id: number, name: string): string[] {
    return this.list(id, name).map((value) => this.#text(id, name, value));
  }

  inner(id: number, name: string): Fields {
    const value = this.struct.get(id);
    if (!(value instanceof Map)) throw this.#wrong(id, name);
    return new Fields(this.where, value as CompactStruct);
  }

  list(id: number, name: string): readonly CompactValue[] {
    const value = this.struct.get(id);
    if (!Array.isArray(value)) throw this.#wrong(id, name);
    return value as readonly CompactValue[];
  }

  structs(id: number, name: string): Fields[] {
    return this.list(id, name).map((value, i) => Fields.of(`${this.where}: ${name} ${i}`, value));
  }

  #text(id: number, name: string, value: CompactValue | undefined): string {
    if (!(value instanceof Uint8Array)) throw this.#wrong(id, name);
    return utf8.decode(value);
  }

  #wrong(id: number, name: string): DpmError {
    return new DpmError('ERR_DPM_FILE_HEADER', `${this.where}: ${name} (field ${id}) is missing, or is something else`);
  }
}
