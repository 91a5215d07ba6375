// Golden runs of diffusers' schedulers (test/fixtures/schedulers): the cases, their closed-form network, and a run of ours.
import { readFileSync } from 'node:fs';

import type { Program, StepProgram } from '../../lib/program/program.js';
import { samplers, type SamplerName } from '../../lib/samplers/index.js';
import type { SchedulerRun } from '../../lib/samplers/scheduler/run.js';
import { schedulerRun } from '../../lib/samplers/scheduler/scheduler.js';
import { NoiseSchedule } from '../../lib/schedule/noise-schedule.js';
import { asSteps, applyUpdate, registers } from './interpreter.js';
import { packagePath } from './temporary.js';

type Config = Readonly<Record<string, unknown>>;

export interface SchedulerCase {
  name: string;
  class: string;
  config: Config;
  /** The complete file of the library's, for one case a class. */
  file?: string;
  steps: number;
  eta?: number;
  shape: [number, number, number, number];
  kind: 'index' | 'noise' | 'score';
  init: number[];
  noise: number[][];
  /** Evaluation after which each slice of noise was drawn. */
  noiseAfter: number[];
  times: number[];
  inputs: number[][];
  final: number[];
}

const folder = packagePath('test/fixtures/schedulers');

export const schedulerFixtures = folder;

export const schedulerCases = JSON.parse(readFileSync(`${folder}/cases.json`, 'utf8')) as SchedulerCase[];

/** Fields of every class: the default, and cases in which another value gives another run or the same. */
export const schedulerFields = JSON.parse(readFileSync(`${folder}/fields.json`, 'utf8')) as Record<
  string,
  Record<string, { default: unknown; changes: string[]; same: string[] }>
>;

/** Cases of flow matching, which the networks of this package are not. */
export function isFlow({ config }: SchedulerCase): boolean {
  return config.use_flow_sigmas === true;
}

/** The network of a case: an output for a value, the number the network sees and the element. */
export function caseNetwork({ kind }: SchedulerCase, steps: number): (x: number, t: number, element: number) => number {
  return (x, t, element) => {
    if (kind === 'score') return -(x - 0.5 * Math.tanh(x + 0.3 * element)) / (t * t + 0.3);
    const u = kind === 'index' ? Math.min(Math.max((t + 1) / steps, 0), 1) : 1 / (1 + Math.exp(-2 * t));
    const angle = (Math.PI / 2) * u;
    return Math.sin(angle) * x + 0.4 * Math.cos(angle) * Math.tanh(1.5 * x + 0.3 * element);
  };
}

/** The second output of networks with a learned variance. */
export function caseHead(x: number): number {
  return 0.6 * Math.tanh(x) - 0.1;
}

/** The program of a case, or of its class with another configuration. */
export function caseProgram({ steps, eta, ...own }: SchedulerCase, config: Config = own.config): Program {
  const schedule = NoiseSchedule.fromSchedulerConfig(config);
  if (eta === undefined) return samplers.scheduler(schedule, { steps });
  // Options beyond the file: callers of the library give them to every step.
  const run = schedulerRun(schedule, steps);
  return samplers[run.sampler as SamplerName](schedule, { ...run.options, eta });
}

export interface CaseRun {
  times: number[];
  inputs: number[][];
  final: number[];
}

/** Runs a case's program of records in float64, sample by sample. */
export function runCase(own: SchedulerCase, program: StepProgram = asSteps(caseProgram(own))): CaseRun {
  const [samples] = own.shape;
  const elements = own.init.length / samples;
  const slice = (values: readonly number[], sample: number): number[] =>
    values.slice(sample * elements, (sample + 1) * elements);
  const network = caseNetwork(own, NoiseSchedule.fromSchedulerConfig(own.config).steps);
  const run: CaseRun = { times: [], inputs: [], final: [] };
  for (let sample = 0; sample < samples; ++sample) {
    const state = registers(
      slice(own.init, sample).map((value) => value * program.initialScale),
      program.history,
    );
    let evaluation = -1;
    for (const record of program.records) {
      if (record.evaluate) {
        ++evaluation;
        const input = (record.read === 'y' ? state.y : state.x).map((value) => value * record.inputScale);
        (run.inputs[evaluation] ??= []).push(...input);
        run.times[evaluation] = record.time;
        state.out = input.map((value, i) => network(value, record.time, i));
        state.head = input.map(caseHead);
      }
      const drawn = own.noise[own.noiseAfter.indexOf(evaluation)] ?? [];
      applyUpdate(record, state, record.variance.kind === 'none' ? null : slice(drawn, sample));
    }
    run.final.push(...state.x);
  }
  return run;
}

/** The largest difference of two rows of numbers by the second's largest, or by 1. */
export function rowDifference(found: readonly number[], expected: readonly number[]): number {
  const scale = Math.max(1, ...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(value - (found[i] ?? NaN)) / scale));
}

/** Gives the run of a configuration. */
export function runOfConfig(config: Config, steps = 10): SchedulerRun {
  return schedulerRun(NoiseSchedule.fromSchedulerConfig(config), steps);
}
