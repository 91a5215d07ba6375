// One engine of a comparison: a process that answers lines of JSON (own-arm.mjs, torch_peers.py).
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export class Arm {
  #process = null;
  #waiting = null;
  #lastWords = '';

  /** Why it takes no further part, or null. */
  ended = null;

  constructor(name, command, parameters, environment = {}) {
    this.name = name;
    this.start = () => spawn(command, parameters, { env: { ...process.env, ...environment }, stdio: 'pipe' });
  }

  async open(seconds) {
    this.#process = this.start();
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#answer(line));
    this.#process.stderr.on('data', (text) => {
      this.#lastWords = `${this.#lastWords}${text}`.slice(-2000);
    });
    // A process that is gone is noticed below.
    this.#process.stdin.on('error', () => undefined);
    this.#process.on('error', (error) => this.#end(error.message));
    this.#process.on('close', (status, signal) =>
      this.#end(`ended with ${signal ?? status}: ${this.#lastWords.trim()}`),
    );
    return this.ask({ op: 'open' }, seconds);
  }

  /** The reply. Throws when there is none in time, which ends the process, and when it is an error. */
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
    // Libraries print, too.
    if (line.startsWith('{')) this.#take()?.resolve(JSON.parse(line));
  }

  #end(reason) {
    this.ended ??= reason;
    this.#process.kill('SIGKILL');
    this.#take()?.reject(new Error(this.ended));
  }
}
