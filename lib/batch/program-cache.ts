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
function keyOf(sampler: SamplerName, options: object): string | null {
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

/** Cache of a model's programs by their sampler and options; keeps the last used ones. */
export class ProgramCache {
  readonly #programs = new Map<string, Program>();
  readonly #made = new WeakSet<Program>();
  readonly #packed = new WeakMap<Program, Uint8Array>();
  readonly #compile: (sampler: SamplerName, options: object) => Program;

  constructor(compile: (sampler: SamplerName, options: object) => Program) {
    this.#compile = compile;
  }

  /** Gives the program of a sampler with options; compiles it if it is not known. */
  get(sampler: SamplerName, options: object): Program {
    const key = keyOf(sampler, options);
    if (key === null) return this.#compile(sampler, options);
    const known = this.#programs.get(key);
    const program = known ?? this.#compile(sampler, options);
    this.#made.add(program);
    // The last in order is the last used.
    this.#programs.delete(key);
    this.#programs.set(key, program);
    const [oldest] = this.#programs.keys();
    if (this.#programs.size > MOST_PROGRAMS && oldest !== undefined) this.#programs.delete(oldest);
    return program;
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
