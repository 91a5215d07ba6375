// One stage: its script in a process of its own, with a limit of time. Rows that came before an end by force count.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { packagePath, SKIPPED } from './settings.mjs';

const KEPT_CHARACTERS = 4000;

/** Ends the script and all that it has started. */
function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function outcome({ code, signal }, { limit, timedOut, said }) {
  if (timedOut) return { status: 'failed', reason: `took longer than ${Math.round(limit)} s` };
  if (code === 0) return { status: 'ok', reason: null };
  const last = said.trim().split('\n').at(-1) ?? '';
  if (code === SKIPPED) return { status: 'skipped', reason: last };
  // What Node prints after an exception ends with its own version; the message stands before.
  const message = /^\w*Error.*$/m.exec(said)?.[0] ?? last;
  return { status: 'failed', reason: message === '' ? `ended with ${signal ?? code}` : message };
}

/** Status, reason and rows of a stage that may take `limit` seconds. */
export async function runStage(stage, settings, limit, environment) {
  const started = new Date().toISOString();
  const start = performance.now();
  const parameters = [packagePath(`bench/gpu/${stage.script}`), ...(stage.parameters ?? [])];
  const child = spawn(process.execPath, parameters, {
    env: { ...environment, DPM_GPU_CHECK: JSON.stringify({ ...settings, seconds: limit }) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const rows = [];
  createInterface({ input: child.stdout }).on('line', (line) => rows.push(JSON.parse(line)));
  let said = '';
  child.stderr.on('data', (text) => {
    said = `${said}${text}`.slice(-KEPT_CHARACTERS);
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    endGroup(child);
  }, 1000 * limit);
  const end = await new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
  clearTimeout(timer);
  endGroup(child);
  const { status, reason } = outcome(end, { limit, timedOut, said });
  const seconds = Number(((performance.now() - start) / 1000).toFixed(1));
  return { name: stage.name, status, reason, seconds, limit: Math.round(limit), started, rows, said: said.trim() };
}
