import { untilAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import type { Program } from '../program/program.js';
import { isQuick, type CompileElsewhere, type CompileTask } from '../samplers/compile.js';
import type { SamplerName } from '../samplers/index.js';
import type { SamplerOptions } from '../samplers/options.js';
import type { Admission } from './admission.js';
import { CompileQueue, type Asker, type Compilation } from './compile-queue.js';
import { keyOf, type ProgramCache } from './program-cache.js';

/** Makes a model's programs. */
export interface Compiler {
  compile(sampler: SamplerName, own: SamplerOptions): Program;
  /** Gives what another thread needs for a program, from options as they are now; null if that cannot be sent. */
  task(sampler: SamplerName, own: SamplerOptions): CompileTask | null;
}

/** A program that is there, or that comes from another thread once it is asked for. */
export type Found = { readonly made: Program } | { readonly coming: (signal: AbortSignal) => Promise<Program> };

/** Programs that requests name by a sampler: known ones, quick ones, and long ones, which another thread makes if there is one. */
export class Programs {
  readonly #compiler: Compiler;
  readonly #cache: ProgramCache;
  readonly #clock: Admission['clock'];
  readonly #queue: CompileQueue | null;
  readonly #now: (() => number) | undefined;
  /** Programs that are being made, by their keys. */
  readonly #coming = new Map<string, Compilation>();

  /**
   * @param elsewhere - Makes a program in another thread; undefined: all are made here.
   * @param now - Milliseconds of a clock.
   */
  constructor(
    compiler: Compiler,
    { cache, admission }: { cache: ProgramCache; admission: Pick<Admission, 'clock' | 'refused'> },
    elsewhere: CompileElsewhere | undefined,
    now?: () => number,
  ) {
    this.#compiler = compiler;
    this.#cache = cache;
    this.#clock = admission.clock;
    this.#queue = elsewhere === undefined ? null : new CompileQueue(elsewhere, admission);
    this.#now = now;
  }

  /** Number of programs that another thread makes, or that wait for it. */
  get unfinished(): number {
    return this.#queue?.unfinished ?? 0;
  }

  /**
   * Finds the program of a sampler with options, which are read now. The asker is charged for the time that making it takes.
   *
   * @throws {@link DpmError} naming the wrong option.
   */
  find(sampler: SamplerName, own: SamplerOptions, asker: Asker): Found {
    const key = keyOf(sampler, own);
    const known = key === null ? undefined : this.#cache.known(key);
    if (known !== undefined) return { made: known };
    const queue = this.#queue;
    const task = queue === null || isQuick(sampler, own) ? null : this.#compiler.task(sampler, own);
    if (queue === null || task === null) return { made: this.#kept(key, this.#made(sampler, own, asker)) };
    return { coming: (signal) => this.#await(key, queue, { task, asker, signal }) };
  }

  #made(sampler: SamplerName, own: SamplerOptions, asker: Asker): Program {
    return this.#clock.charging(asker, () => this.#compiler.compile(sampler, own), this.#now);
  }

  #kept(key: string | null, program: Program): Program {
    if (key !== null) this.#cache.keep(key, program);
    return program;
  }

  async #await(
    key: string | null,
    queue: CompileQueue,
    { task, asker, signal }: { task: CompileTask; asker: Asker; signal: AbortSignal },
  ): Promise<Program> {
    // The same program may have been finished, or begun, since it was looked for.
    const known = key === null ? undefined : this.#cache.known(key);
    if (known !== undefined) return known;
    const begun = key === null ? undefined : this.#coming.get(key);
    if (begun !== undefined) queue.join(begun, asker);
    const coming = begun ?? this.#begun(key, queue, task, asker);
    try {
      const { program, refused, options = task.options } = await untilAborted(signal, () => coming.done);
      if (refused !== undefined) throw new DpmError(refused.code, refused.message);
      // Programs of functions cannot come from another thread.
      return program ?? this.#kept(key, this.#made(task.sampler, options, asker));
    } finally {
      if (queue.leave(coming) && key !== null) this.#coming.delete(key);
    }
  }

  #begun(key: string | null, queue: CompileQueue, task: CompileTask, asker: Asker): Compilation {
    const begun = queue.add(task, asker);
    if (key === null) return begun;
    this.#coming.set(key, begun);
    const end = (): void => {
      this.#coming.delete(key);
    };
    // Before those who wait for it go on: whoever comes later finds it kept. What failed is not kept.
    begun.done.then(({ program }) => {
      end();
      if (program !== null) this.#cache.keep(key, program);
    }, end);
    return begun;
  }
}
