// Every scheduler class of diffusers against runs of the library itself: what the network sees at every evaluation, and the
// result.
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { parseJson } from '../../../../lib/files/parse-json.js';
import { runProgram } from '../../../../lib/run/run-program.js';
import { schedulerRun } from '../../../../lib/samplers/scheduler/scheduler.js';
import { NoiseSchedule } from '../../../../lib/schedule/noise-schedule.js';
import {
  caseHead,
  caseNetwork,
  caseProgram,
  isFlow,
  rowDifference,
  runCase,
  schedulerCases,
  schedulerFixtures,
  type SchedulerCase,
} from '../../../support/scheduler-cases.js';

const cases = schedulerCases.filter((each) => !isFlow(each)).map((each): [string, SchedulerCase] => [each.name, each]);
const ofRecords = cases.filter(([, { class: name }]) => name !== 'ScoreSdeVeScheduler');

/** Times agree to what float32 tables leave of them. */
const timeTolerance = 1e-4;
const tolerance = 1e-4;

describe('a scheduler file gives what diffusers does', () => {
  it.each(ofRecords)('%s at every evaluation', (_, own) => {
    const { times, inputs, final } = runCase(own);
    expect(times).toHaveLength(own.times.length);
    expect(rowDifference(times, own.times)).toBeLessThan(timeTolerance);
    own.inputs.forEach((row, i) => {
      expect(rowDifference(inputs[i] ?? [], row), `input of evaluation ${i}`).toBeLessThan(tolerance);
    });
    expect(rowDifference(final, own.final), 'the result').toBeLessThan(tolerance);
  });

  // The noise of a step that the library draws and multiplies by 0 has no record of ours.
  it.each(cases)('%s natively, with the evaluations announced', async (_, own) => {
    const schedule = NoiseSchedule.fromSchedulerConfig(own.config);
    const program = caseProgram(own);
    const network = caseNetwork(own, schedule.steps);
    const elements = own.init.length / own.shape[0];
    const seen: { t: number; x: Float32Array }[] = [];
    const result = await runProgram(program, {
      shape: own.shape,
      init: Float32Array.from(own.init, (value) => value * program.initialScale),
      noise: usedNoise(own, program).map((slice) => Float32Array.from(slice)),
      model(x, t) {
        seen.push({ t, x: Float32Array.from(x) });
        return { out: x.map((value, i) => network(value, t, i % elements)), head: x.map(caseHead) };
      },
    });
    const native = nativeTolerance(program);
    expect(rowDifference([...result], own.final)).toBeLessThan(native);
    own.inputs.forEach((row, i) => {
      expect(rowDifference([...(seen[i]?.x ?? [])], row), `input of evaluation ${i}`).toBeLessThan(native);
    });
    const run = schedulerRun(schedule, own.steps);
    expect(run.evaluations).toBe(own.times.length);
    expect(rowDifference(run.timesteps, own.times)).toBeLessThan(timeTolerance);
    expect(seen).toHaveLength(own.times.length);
  });
});

/** What float32 states leave: from noise alone a step takes thousands of a state and of a prediction that are nearly the same. */
function nativeTolerance(program: ReturnType<typeof caseProgram>): number {
  if (program.kind === 'host') return 2e-4;
  const greatest = Math.max(...program.records.map(({ x }) => Math.abs(x?.x ?? 0)));
  return Math.max(tolerance, greatest * 2 ** -21);
}

/** The slices of noise that are drawn here: one for every record that adds some, or all of a host program's. */
function usedNoise(own: SchedulerCase, program: ReturnType<typeof caseProgram>): number[][] {
  if (program.kind === 'host') return own.noise;
  let evaluation = -1;
  return program.records.flatMap((record) => {
    if (record.evaluate) ++evaluation;
    if (record.variance.kind === 'none') return [];
    return [own.noise[own.noiseAfter.indexOf(evaluation)] ?? []];
  });
}

describe('the complete files that the library writes', () => {
  it.each(cases.filter(([, { file }]) => file !== undefined))('%s is the same run', (_, own) => {
    const text = readFileSync(`${schedulerFixtures}/${own.file ?? ''}`, 'utf8');
    const config = parseJson(text, (problem) => new Error(problem) as never, { python: true });
    const schedule = NoiseSchedule.fromSchedulerConfig(config as Record<string, unknown>);
    expect(schedulerRun(schedule, own.steps)).toEqual(
      schedulerRun(NoiseSchedule.fromSchedulerConfig(own.config), own.steps),
    );
  });
});
