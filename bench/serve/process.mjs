// A server or a worker of the bundled digits for measurements, in a process of its own.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Starts `dpm serve` or `dpm worker`, and waits until it listens. */
export async function startProcess(command, options) {
  const own = ['mnist', '--device', 'cpu', '--port', '0', '--log-level', 'warn', '--json', ...options];
  const running = spawn(process.execPath, [main, command, ...own], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => running.once('exit', resolve));
  process.once('exit', () => running.kill('SIGKILL'));
  const stop = () => {
    running.kill('SIGTERM');
    return ended;
  };
  for await (const line of createInterface({ input: running.stdout })) return { url: JSON.parse(line).url, stop };
  throw new Error(`${command} does not start`);
}
