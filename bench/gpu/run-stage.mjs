// Runs a stage: its script in a process of its own, with a limit of time. Its output is in the journal at once.
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import { packagePath, SKIPPED } from './settings.mjs';

const folder = packagePath('bench/gpu');
const KEPT_CHARACTERS = 4000;
/**
 * Milliseconds for reading the last output of a process that has ended. A process that has left its group may hold stdout open for ever.
 */
const DRAIN_MILLISECONDS = 2000;

/** Ends the script and all that it has started. */
function endGroup({ pid }) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function outcome({ code, signal, error }, ending, said) {
  if (ending.aborted) return { status: 'failed', reason: ending.reason.message, cutOff: true };
  if (error !== undefined) return { status: 'failed', reason: error.message };
  if (code === 0) return { status: 'ok', reason: null };
  const last = said.trim().split('\n').at(-1) ?? '';
  if (code === SKIPPED) return { status: 'skipped', reason: last };
  // After an exception Node prints its own version last. The message stands before that, after the output of others.
  const message = said.match(/^\w*Error.*$/gm)?.at(-1) ?? last;
  return { status: 'failed', reason: message === '' ? `ended with ${signal ?? code}` : message };
}

/** Waits for the end of the process, until all of its output has been read. */
async function endOf(child) {
  const closed = new Promise((done) => child.on('close', done));
  const end = await new Promise((done) => {
    child.on('error', (error) => done({ error }));
    child.on('exit', (code, signal) => done({ code, signal }));
  });
  if (end.error !== undefined) return end;
  endGroup(child);
  await Promise.race([closed, delay(DRAIN_MILLISECONDS, undefined, { ref: false })]);
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  return end;
}

/** Aborts after `seconds` or with `signal`, with the reason as an error. */
function limitOf(seconds, signal) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Error(`took longer than ${Math.round(seconds)} s`)), 1000 * seconds);
  return { ending: AbortSignal.any([limit.signal, signal]), clear: () => clearTimeout(timer) };
}

/** Runs a stage for at most `limit` seconds and returns how it ended. `attempt` gets its output. */
export async function runStage({ script, parameters = [] }, { settings, environment, limit, signal, attempt }) {
  const { ending, clear } = limitOf(limit, signal);
  const command = ['--import', resolve(folder, 'lifeline.mjs'), resolve(folder, script), ...parameters];
  const child = spawn(process.execPath, command, {
    env: { ...environment, DPM_GPU_CHECK: JSON.stringify({ ...settings, seconds: limit }) },
    stdio: 'pipe',
    detached: true,
  });
  const stop = () => endGroup(child);
  if (ending.aborted) stop();
  ending.addEventListener('abort', stop);
  // A write to a process that is gone may fail. Its end is noticed anyway.
  child.stdin.on('error', () => undefined);
  createInterface({ input: child.stdout }).on('line', (line) => attempt.line(line));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said = `${said}${text}`.slice(-KEPT_CHARACTERS);
    attempt.say(text);
    process.stderr.write(text);
  });
  const end = await endOf(child);
  clear();
  ending.removeEventListener('abort', stop);
  const result = outcome(end, ending, said);
  attempt.end(result);
  return result;
}
