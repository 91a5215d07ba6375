// An engine that runs in a Python process of its own (serve.py).
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packages = fileURLToPath(new URL('../../.toolchain/peers', import.meta.url));
const script = fileURLToPath(new URL('serve.py', import.meta.url));

/** Tells whether `scripts/setup --peers` has installed a package. */
export const isInstalled = (name) => existsSync(join(packages, name));

export class PythonArm {
  #process;
  #replies;

  constructor(name, dtype, request) {
    this.name = name;
    this.dtype = dtype;
    this.request = request;
  }

  async open(threads) {
    const env = { ...process.env, PYTHONPATH: packages, OMP_NUM_THREADS: String(threads), HF_HUB_OFFLINE: '1' };
    this.#process = spawn('python3', [script], { env, stdio: ['pipe', 'pipe', 'ignore'] });
    this.#replies = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.version = (await this.#ask({ op: 'open', threads, dtype: this.dtype, ...this.request })).version;
  }

  async #ask(request) {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#replies.next();
    if (done) throw new Error(`${this.name}: the process ended`);
    const reply = JSON.parse(value);
    if (reply.error !== undefined) throw new Error(`${this.name}: ${reply.error}`);
    return reply;
  }

  /** Runs one evaluation, the work that is timed from now on. Engines of derivatives take a `vector` shaped as `x`, and `work`, its use. */
  async check(folder, x, t, shape, { vector, work } = {}) {
    const inputs = { x, t, ...(vector !== undefined && { vector }) };
    const files = Object.fromEntries(Object.keys(inputs).map((name) => [name, join(folder, `${name}.bin`)]));
    for (const [name, values] of Object.entries(inputs)) writeFileSync(files[name], values);
    const outFile = join(folder, 'out.bin');
    await this.#ask({ op: 'check', ...files, shape, out: outFile, work });
    return new Float32Array(Uint8Array.from(readFileSync(outFile)).buffer);
  }

  async time(calls, work) {
    return (await this.#ask({ op: 'time', calls, work })).milliseconds;
  }

  async close() {
    this.#process.stdin.end();
  }
}
