// Runs the stages and writes FOLDER/gpu-check.json and FOLDER/gpu-check.md after each of them. Started by scripts/gpu-check,
// which says what the options are.
import { mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import { resolve } from 'node:path';

import { prepare } from './environment.mjs';
import { Journal, journalAt, readAllAttempts, readAttempts } from './journal.mjs';
import { readOptions } from './options.mjs';
import { isFrom, knownResults, originOf, resultOf } from './results.mjs';
import { runStage } from './run-stage.mjs';
import { writeReport } from './write-report.mjs';

/** The least seconds for which a stage is started. */
const LEAST_SECONDS = 10;

const options = readOptions();
const out = resolve(options.out);
const deadline = performance.now() + 1000 * options.limit;

/** Ends the running stage on a signal. Its results so far have been written. */
function endWithSignals() {
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(name, () => {
      ending.abort(new Error(`ended by ${name}`));
      process.exitCode = 128 + constants.signals[name];
    });
  }
  return ending.signal;
}

function skip(attempt, reason) {
  attempt.end({ status: 'skipped', reason });
}

/** Notes the findings of `versions`. If the card cannot be used, all stages that need it fail. */
function lookAt({ status, rows }) {
  const machine = rows[0] ?? {};
  if (options.selfTest) return { machine, mode: 'self-test' };
  return { machine, mode: machine.usable === true || status === 'failed' ? 'card' : 'no card' };
}

class Run {
  #prepared = prepare({ ...options, out });
  #journal = new Journal(options.state, out);
  #signal = endWithSignals();
  #found = { machine: {}, mode: options.selfTest ? 'self-test' : 'no card' };

  get #origin() {
    return originOf(this.#found.mode, options.quick, this.#found.machine);
  }

  async all() {
    const counts = { ok: 0, failed: 0, skipped: 0 };
    for (const stage of options.chosen) {
      if (this.#signal.aborted) break;
      const { status, reason, seconds } = await this.#one(stage);
      ++counts[status];
      this.#write();
      console.log(`gpu-check: ${stage.name}: ${status}${reason === null ? '' : `: ${reason}`} (${seconds} s)`);
    }
    console.log(`gpu-check: ${counts.ok} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
    if (counts.failed > 0) process.exitCode ??= 1;
  }

  async #one(stage) {
    const isFirst = stage.name === 'versions';
    const left = (deadline - performance.now()) / 1000;
    const limit = Math.max(0, Math.min(stage.seconds, left));
    const facts = { started: new Date().toISOString(), limit: Math.round(limit) };
    const origin = isFirst ? undefined : this.#origin;
    const attempt = this.#journal.begin({ stage: stage.name, ...facts, build: this.#prepared.build, origin });
    if (this.#found.mode === 'no card' && stage.without !== true) skip(attempt, 'no CUDA device');
    else if (left < LEAST_SECONDS) skip(attempt, 'no time left');
    else await runStage(stage, { ...this.#prepared, limit, signal: this.#signal, attempt });
    const result = resultOf(readAttempts(this.#journal.file).get(attempt.id));
    if (isFirst) {
      this.#found = lookAt(result);
      attempt.runsOn(this.#origin);
    }
    return result;
  }

  #write() {
    const attempts = [...readAttempts(this.#journal.file).values()];
    writeReport(out, { ...this.#found, quick: options.quick }, knownResults(attempts, this.#origin));
  }
}

/** Writes one report of the journals of several machines, without running anything. */
function merge() {
  const attempts = readAllAttempts(options.merge.map(journalAt));
  const last = attempts.findLast(({ stage, origin }) => stage === 'versions' && origin !== undefined);
  if (last === undefined) throw new Error('gpu-check: none of these says which machine it was');
  mkdirSync(out, { recursive: true });
  const { mode, quick } = last.origin;
  writeReport(out, { machine: last.rows[0] ?? {}, mode, quick }, knownResults(attempts, last.origin));
  const others = attempts.filter((attempt) => !isFrom(last.origin, attempt)).length;
  if (others > 0) console.log(`gpu-check: left out ${others} attempts on another machine, in another mode or nowhere`);
}

// The terminal may be gone, but measuring goes on.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
if (options.merge !== null) merge();
else await new Run().all();
