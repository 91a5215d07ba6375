// Runs a program and passes on its lines as they come.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/**
 * Runs a program and returns how it ended. `onLine` gets the lines of its stdout, `onNote`, which prints by default, those of its
 * stderr. The program is killed after `seconds`, if they are given.
 */
export async function follow(command, parameters, { seconds, environment = {}, onLine, onNote = console.error }) {
  const child = spawn(command, parameters, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  createInterface({ input: child.stdout }).on('line', onLine);
  createInterface({ input: child.stderr }).on('line', onNote);
  let isLate = false;
  const late = () => {
    isLate = true;
    child.kill('SIGKILL');
  };
  const timer = seconds === undefined ? undefined : setTimeout(late, Math.max(1, 1000 * seconds));
  const end = await new Promise((resolve) => {
    child.on('error', (error) => resolve({ status: null, why: error.message }));
    child.on('close', (status, signal) => resolve({ status, why: `ended with ${signal ?? status}` }));
  });
  clearTimeout(timer);
  return isLate ? { ...end, why: `took longer than ${Math.round(seconds)} s` } : end;
}
