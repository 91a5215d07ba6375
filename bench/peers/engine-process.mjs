// An engine in a process of its own, which answers lines of JSON (serve.py, own-training.mjs).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export class EngineProcess {
  #command;
  #process;
  #replies;

  /**
   * @param request - What the engine is opened with, besides the number of threads.
   * @param command - Program, arguments, what its environment has besides ours, and where its errors go.
   */
  constructor(name, request, { program, args, env, errors }) {
    this.name = name;
    this.request = request;
    this.#command = { program, args, env, errors };
  }

  async open(threads) {
    const { program, args, env, errors } = this.#command;
    this.#process = spawn(program, args, {
      env: { ...process.env, OMP_NUM_THREADS: String(threads), ...env },
      stdio: ['pipe', 'pipe', errors],
    });
    this.#replies = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.version = (await this.ask({ op: 'open', threads, ...this.request })).version;
  }

  async ask(request) {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#replies.next();
    if (done) throw new Error(`${this.name}: the process ended`);
    const reply = JSON.parse(value);
    if (reply.error !== undefined) throw new Error(`${this.name}: ${reply.error}`);
    return reply;
  }

  async time(calls, work) {
    return (await this.ask({ op: 'time', calls, work })).milliseconds;
  }

  /** The most bytes of memory that the process has had at once. Linux only. */
  peakBytes() {
    const status = readFileSync(`/proc/${this.#process.pid}/status`, 'utf8');
    return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)[1]);
  }

  async close() {
    this.#process.stdin.end();
    if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, 'exit');
  }
}
