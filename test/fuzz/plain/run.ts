// Runs a fuzz target without jazzer.js, where that cannot be loaded: inputs change at random, and those are kept that the target
// answers as none before. A second process watches: what ends the first, keeps it busy for too long or fills its memory is found.
//
//   node BUNDLE [-max_total_time=60] [-timeout=60] [-rss_limit_mb=4096] [-max_len=4096] [-seed=1] [-artifact_prefix=PREFIX]
//     [CORPUS...]
//
// Options are those of libFuzzer. What is new goes to the first folder.
import { fork, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { Random } from '../../support/random.js';
import { outcomes } from '../refused.js';
import { Mutator } from './mutate.js';

/** A file of `test/fuzz/targets`. */
export interface Target {
  readonly fuzz: (data: Buffer) => Promise<void>;
  /** Makes what the format guards by sums right again, which hides the rest of the parser from random changes. */
  readonly repaired?: (data: Buffer) => Buffer;
}

const numbers = { max_total_time: 60, timeout: 60, rss_limit_mb: 4096, max_len: 4096, seed: 1 };

function optionsOf(args: readonly string[]): typeof numbers & { prefix: string; folders: string[] } {
  const options = { ...numbers };
  let prefix = '';
  const folders: string[] = [];
  for (const arg of args) {
    const [, name = '', value = ''] = /^-(\w+)=(.*)$/.exec(arg) ?? [];
    if (name === 'artifact_prefix') prefix = value;
    else if (Object.hasOwn(options, name)) options[name as keyof typeof numbers] = Number(value);
    else if (name === '') folders.push(arg);
  }
  return { ...options, prefix, folders };
}

const hashOf = (data: Uint8Array): string => createHash('sha1').update(data).digest('hex');

/** Runs the target on every input of the corpora, then on changed ones until the time is over; prints how many there were. */
async function work({ fuzz, repaired }: Target, current: string, args: readonly string[]): Promise<void> {
  const { max_total_time: seconds, max_len: most, seed, folders } = optionsOf(args);
  const corpus = folders.flatMap((folder) => readdirSync(folder).map((name) => readFileSync(join(folder, name))));
  const random = new Random(seed);
  const mutator = new Mutator(random, corpus, most);
  const known = new Set<string>();
  const [kept] = folders;
  let runs = 0;
  const run = async (data: Buffer): Promise<boolean> => {
    writeFileSync(current, data);
    outcomes.length = 0;
    await fuzz(data);
    ++runs;
    const answer = outcomes.join('\n');
    if (known.has(answer)) return false;
    known.add(answer);
    return true;
  };
  for (const data of corpus) await run(data);
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end) {
    const changed = mutator.next();
    const data = repaired !== undefined && random.chance(0.75) ? repaired(changed) : changed;
    if (!(await run(data))) continue;
    mutator.keep(data);
    if (kept !== undefined) writeFileSync(join(kept, hashOf(data)), data);
  }
  process.send?.({ runs, answers: known.size });
}

/** Memory of a process in KiB; 0 where the system does not say. */
function residentKilobytes(pid: number): number {
  const path = `/proc/${pid}/status`;
  const status = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}

/** Waits for the end of a process and tells why it is none that was to come; undefined: all is well. */
async function watched(
  child: ChildProcess,
  current: string,
  { timeout, rss_limit_mb: limit }: typeof numbers,
): Promise<string | undefined> {
  const ended = new Promise<string>((resolve) => {
    child.on('exit', (code, signal) => {
      resolve(code === 0 ? 'end' : `crash (${signal ?? String(code)})`);
    });
  });
  for (;;) {
    const state = await Promise.race([ended, setTimeout(250, 'runs')]);
    if (state !== 'runs') return state === 'end' ? undefined : state;
    const resident = residentKilobytes(child.pid ?? 0);
    const since = existsSync(current) ? statSync(current).mtimeMs : performance.timeOrigin;
    const found = resident > 1024 * limit ? 'oom' : Date.now() - since > 1000 * timeout ? 'timeout' : undefined;
    if (found === undefined) continue;
    child.kill('SIGKILL');
    return found;
  }
}

async function watch(args: readonly string[]): Promise<number> {
  const options = optionsOf(args);
  const folder = mkdtempSync(join(tmpdir(), 'dpm-plain-fuzz-'));
  const current = join(folder, 'input');
  const child = fork(process.argv[1] ?? '', args, { env: { ...process.env, DPM_FUZZ_INPUT: current } });
  let told: { runs: number; answers: number } | undefined;
  child.on('message', (message: typeof told) => {
    told = message;
  });
  const problem = (await watched(child, current, options)) ?? (told === undefined ? 'crash (it ended)' : undefined);
  console.log(`number_of_executed_units: ${told?.runs ?? 0}\nanswers: ${told?.answers ?? 0}\nseed: ${options.seed}`);
  if (problem !== undefined) {
    const input = existsSync(current) ? readFileSync(current) : Buffer.alloc(0);
    const kept = `${options.prefix}${problem.replace(/ .*/, '')}-${hashOf(input)}`;
    if (existsSync(current)) copyFileSync(current, kept);
    console.log(`found: ${problem}: ${kept}`);
  }
  rmSync(folder, { recursive: true });
  return problem === undefined ? 0 : 1;
}

/** What a bundle of a target does. */
export async function main(target: Target): Promise<void> {
  const args = process.argv.slice(2);
  const current = process.env.DPM_FUZZ_INPUT;
  if (current !== undefined) {
    await work(target, current, args);
    process.disconnect();
    // Threads and timers of a target are no reason to wait.
    process.exit();
  }
  const [first] = optionsOf(args).folders;
  if (first !== undefined) mkdirSync(first, { recursive: true });
  process.exit(await watch(args));
}
