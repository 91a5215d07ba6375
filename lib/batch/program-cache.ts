import { packRecords } from '../program/pack.js';
import type { Program, StepProgram } from '../program/program.js';
import type { SamplerName } from '../samplers/index.js';

/** Maximum number of kept programs. */
const MOST_PROGRAMS = 64;

/** Maximum length of the key; longer options are tables, which are not worth comparing. */
const MOST_CHARACTERS = 4096;

function isPlain(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== 'object') return typeof value === 'string' || typeof value === 'boolean';
  return value === null || Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}

/** Makes a text that is equal for equal options; null if they hold more than plain values, are circular or too deep. */
export function keyOf(sampler: SamplerName, options: object): string | null {
  try {
    return textOf(sampler, options);
  } catch {
    return null;
  }
}

function textOf(sampler: SamplerName, options: object): string | null {
  const entries = Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const others: unknown[] = [];
  const text = JSON.stringify([sampler, entries], (_, value: unknown) => {
    if (isPlain(value)) return value;
    others.push(value);
    return null;
  });
  return others.length === 0 && text.length <= MOST_CHARACTERS ? text : null;
}

/** Cache of a model's programs by the key of their sampler and options; keeps the last used ones. */
export class ProgramCache {
  readonly #programs = new Map<string, Program>();
  readonly #made = new WeakSet<Program>();
  readonly #packed = new WeakMap<Program, Uint8Array>();

  /** Gives the program of a key, which is the last used one then; undefined if it is not known. */
  known(key: string): Program | undefined {
    const program = this.#programs.get(key);
    if (program !== undefined) this.keep(key, program);
    return program;
  }

  /** Keeps a program. */
  keep(key: string, program: Program): void {
    this.#made.add(program);
    // The last in order is the last used.
    this.#programs.delete(key);
    this.#programs.set(key, program);
    const [oldest] = this.#programs.keys();
    if (this.#programs.size > MOST_PROGRAMS && oldest !== undefined) this.#programs.delete(oldest);
  }

  /** Packs a program into binary records; keeps those of programs from this cache, which never change. */
  pack(program: StepProgram): Uint8Array {
    const known = this.#packed.get(program);
    if (known !== undefined) return known;
    const packed = packRecords(program);
    if (this.#made.has(program)) this.#packed.set(program, packed);
    return packed;
  }
}
