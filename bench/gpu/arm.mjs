// One engine of a comparison: a process that answers lines of JSON (own-arm.mjs, torch_peers.py).
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { parseObject } from './journal.mjs';

export class Arm {
  #process = null;
  #waiting = null;
  #lastWords = '';

  /** The reason why it takes no further part, or null. */
  ended = null;

  get isOpen() {
    return this.#process !== null && this.ended === null;
  }

  constructor(name, command, parameters, environment = {}) {
    this.name = name;
    this.start = () => spawn(command, parameters, { env: { ...process.env, ...environment }, stdio: 'pipe' });
  }

  /** Starts the process, also again after it has ended. */
  async open(seconds) {
    this.ended = null;
    this.#lastWords = '';
    this.#process = this.start();
    this.#follow(this.#process);
    return this.ask({ op: 'open' }, seconds);
  }

  #follow(child) {
    // Output of a process that has been replaced is ignored.
    const isCurrent = () => child === this.#process;
    createInterface({ input: child.stdout }).on('line', (line) => isCurrent() && this.#answer(line));
    child.stderr.on('data', (text) => {
      process.stderr.write(text);
      if (isCurrent()) this.#lastWords = `${this.#lastWords}${text}`.slice(-2000);
    });
    // The wait below notices a process that is gone.
    child.stdin.on('error', () => undefined);
    child.on('error', (error) => isCurrent() && this.#end(error.message));
    child.on('close', (status, signal) => {
      if (isCurrent()) this.#end(`ended with ${signal ?? status}: ${this.#lastWords.trim()}`);
    });
  }

  /** Waits for the reply. Throws if it is an error, or if none comes in time, which also ends the process. */
  async ask(request, seconds) {
    if (this.ended !== null) throw new Error(this.ended);
    const reply = await new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#end(`${request.op} took longer than ${Math.round(seconds)} s`),
        1000 * seconds,
      );
      this.#waiting = { resolve, reject, timer };
      this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if (reply.error !== undefined) throw new Error(reply.error);
    return reply;
  }

  close() {
    this.#end('closed');
  }

  #take() {
    const waiting = this.#waiting;
    this.#waiting = null;
    clearTimeout(waiting?.timer);
    return waiting;
  }

  #answer(line) {
    // Libraries print to stdout, too, so lines that are not JSON are skipped.
    if (!line.startsWith('{')) return;
    const reply = parseObject(line);
    this.#take()?.resolve(reply ?? { error: `no JSON: ${line.slice(0, 200)}` });
  }

  #end(reason) {
    this.ended ??= reason;
    this.#process?.kill('SIGKILL');
    this.#take()?.reject(new Error(this.ended));
  }
}
