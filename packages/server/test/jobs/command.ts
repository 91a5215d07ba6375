// Runs `dpm serve` and `dpm worker` as processes.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url));

/** A process that serves. */
export class Process {
  /** The URL of the server. */
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#ended = once(child, 'close');
    this.url = url;
  }

  /** Starts a process, and resolves once it serves. */
  static async start(...args: string[]): Promise<Process> {
    const child = spawn(
      process.execPath,
      [command, ...args, '--port', '0', '--device', 'cpu', '--log-level', 'silent'],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let output = '';
    child.stderr.on('data', (data) => (output += String(data)));
    for await (const data of child.stdout) {
      output += String(data);
      const [, url] = /^serving at (\S+)$/m.exec(output) ?? [];
      if (url !== undefined) return new Process(child, url);
    }
    throw new Error(`it does not serve: ${output}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** @returns The exit status; null where a signal has ended the process. */
  async ended(): Promise<number | null> {
    const [code] = (await this.#ended) as [number | null];
    return code;
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#ended;
  }

  async post(path: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  async json<T>(path: string): Promise<T> {
    return (await (await fetch(this.url + path)).json()) as T;
  }

  async bytes(path: string): Promise<Buffer> {
    return Buffer.from(await (await fetch(this.url + path)).arrayBuffer());
  }
}
