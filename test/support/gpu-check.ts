import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { expect } from 'vitest';

import { packagePath } from './temporary.js';

export interface Stage {
  name: string;
  status: string;
  reason: string | null;
  cutOff: boolean;
  seconds: number;
  rows: Record<string, unknown>[];
  strange: string[];
  said: string;
}

export interface Report {
  mode: string;
  machine: { device: string; processor: string };
  stages: Stage[];
}

/** A stage whose script a test has written. */
export interface OwnStage {
  name: string;
  /** Source of the script, or the name of a real one. */
  script: string;
  parameters?: string[];
  call?: number;
  seconds?: number;
}

/** Says which machine it is, faster than the real one. */
const versions: OwnStage = {
  name: 'versions',
  script: `console.log(JSON.stringify(
    { card: null, driver: null, usable: false, processor: 'one', node: process.version, threads: 1 }));`,
};

/** Runs of scripts/gpu-check on the emulated card that share their results, and nothing with other runs. */
export class GpuChecks {
  readonly state: string;
  readonly #folder: string;
  readonly #programs: string;
  readonly #environment: Record<string, string | undefined>;
  #written = 0;

  /** `folder` is for all that they read and write. */
  constructor(folder: string) {
    this.state = join(folder, 'state');
    this.#folder = folder;
    this.#programs = join(folder, 'programs');
    this.#environment = {
      ...process.env,
      // Looking for PyTorch takes longer than all the rest.
      PYTHON: '/bin/false',
      DPM_GPU_CHECK_STATE: this.state,
      PATH: `${this.#programs}:${process.env.PATH}`,
    };
  }

  /** Puts stages in place of the real ones. */
  useStages(...stages: OwnStage[]): void {
    const entries = [versions, ...stages].map(({ script, ...rest }, i) => {
      const isReal = /^[a-z-]+\.mjs$/.test(script);
      return { seconds: 60, ...rest, script: isReal ? script : this.#file(`stage-${i}.mjs`, script) };
    });
    this.#environment.DPM_GPU_CHECK_STAGES = this.#file('stages.mjs', `export default ${JSON.stringify(entries)};`);
  }

  /** Puts a script for Node in the place of a program, which is the first of its name on PATH. */
  useProgram(name: string, source: string): string {
    mkdirSync(this.#programs, { recursive: true });
    const file = join(this.#programs, name);
    writeFileSync(file, `#!${process.execPath}\n${source}`);
    chmodSync(file, 0o755);
    return file;
  }

  /** A folder for results that nothing has been written to. */
  out(name: string): string {
    return join(this.#folder, name);
  }

  async run(out: string, ...options: string[]): Promise<{ report: Report; lastLine: string; markdown: string }> {
    const { stdout } = await this.#execute(['--out', out, ...options]);
    const markdown = readFileSync(join(out, 'gpu-check.md'), 'utf8');
    return { report: readReport(out), lastLine: stdout.trim().split('\n').at(-1)!, markdown };
  }

  /** Starts a run and comes back when the results have a line in which `text` is. */
  async startUntil(text: string, out: string, ...options: string[]): Promise<ChildProcess> {
    const child = spawn(packagePath('scripts/gpu-check'), ['--out', out, ...options], {
      env: this.#environment,
      stdio: 'ignore',
    });
    const journal = join(this.state, 'gpu-check.jsonl');
    const isThere = () => existsSync(journal) && readFileSync(journal, 'utf8').includes(text);
    await expect.poll(isThere, { interval: 20 }).toBe(true);
    return child;
  }

  /** Runs the checks; exit status 1 means that stages failed. */
  async #execute(options: string[]): Promise<{ stdout: string }> {
    try {
      return await promisify(execFile)(packagePath('scripts/gpu-check'), options, { env: this.#environment });
    } catch (error) {
      const { code, stdout } = error as { code: unknown; stdout: string };
      if (code !== 1) throw error;
      return { stdout };
    }
  }

  #file(name: string, text: string): string {
    const folder = join(this.#folder, `written-${this.#written++}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  }
}

export function readReport(out: string): Report {
  return JSON.parse(readFileSync(join(out, 'gpu-check.json'), 'utf8')) as Report;
}

export function stageOf({ stages }: Report, name: string): Stage {
  const stage = stages.find((each) => each.name === name);
  expect(stage, name).toBeDefined();
  return stage!;
}
