// Scheduler files on the command line.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { describeRun } from '../../../lib/cli/scheduler-summary.js';
import type { SchedulerRun } from '../../../lib/samplers/scheduler/run.js';
import type { GivenLevel } from '../../../lib/schedule/noise-level.js';
import { dpm } from '../../support/dpm.js';
import { schedulerFixtures } from '../../support/scheduler-cases.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const cpu = ['--device', 'cpu'];

/** The bundled model with another scheduler file. */
function modelWith(name: string, config: string): string {
  const path = join(folder, name);
  cpSync(packagePath('models/mnist'), path, { recursive: true });
  writeFileSync(join(path, 'scheduler/scheduler_config.json'), config);
  return path;
}

const solver = modelWith(
  'solver',
  readFileSync(`${schedulerFixtures}/complete/DPMSolverMultistepScheduler.json`, 'utf8'),
);

interface Inspected {
  scheduler: {
    sampler: string;
    evaluations: number;
    timesteps: number[];
    options: { levels: GivenLevel[]; order: number };
  };
}

it('a run of one evaluation is one in its description', () => {
  const run = {
    scheduler: 'S',
    sampler: 'ddim',
    trajectory: 'linear',
    options: { levels: [] as GivenLevel[], eta: 1 },
  };
  const of = (evaluations: number): string => describeRun({ ...run, evaluations } as unknown as SchedulerRun);
  expect(of(1)).toBe('S is ddim, trajectory linear, eta 1, 1 evaluation');
  expect(of(2)).toBe('S is ddim, trajectory linear, eta 1, 2 evaluations');
});

async function inspected(model: string, ...args: string[]): Promise<Inspected> {
  return JSON.parse((await dpm('inspect', model, ...cpu, '--json', ...args)).stdout) as Inspected;
}

describe('dpm inspect', () => {
  it('says what a scheduler file stands for', async () => {
    const { scheduler } = await inspected(solver, '--steps', '7');
    expect(scheduler).toMatchObject({
      scheduler: 'DPMSolverMultistepScheduler',
      sampler: 'dpm-solver++-2m',
      trajectory: 'linspace',
      evaluations: 7,
      options: { order: 2, solverType: 'midpoint', lowerOrderFinal: 'always', clip: 'none' },
    });
    expect(scheduler.timesteps).toHaveLength(7);
    expect(scheduler.options.levels.at(-1)).toEqual({ alpha: 1, sigma: 0 });
    expect((await dpm('inspect', solver, ...cpu)).stdout).toMatch(
      /scheduler +DPMSolverMultistepScheduler is dpm-solver\+\+-2m, trajectory linspace, order 2, .*20 evaluations for 20 steps/,
    );
  });

  it('says why one cannot be run, and of a model without one that there is none', async () => {
    const refused = modelWith('refused', JSON.stringify({ _class_name: 'SASolverScheduler' }));
    expect((await dpm('inspect', refused, ...cpu)).stdout).toMatch(/scheduler +cannot be run: .*SASolverScheduler/);
    const without = packagePath('test/fixtures/unet/ho-ddpm');
    expect((await dpm('inspect', without, ...cpu)).stdout).toMatch(/scheduler +no file/);
  });
});

describe('dpm sample', () => {
  const images = async (model: string, ...args: string[]): Promise<{ bytes: Buffer; stdout: string }> => {
    const out = join(folder, 'out.safetensors');
    const { code, stdout, stderr } = await dpm('sample', model, ...cpu, '--seed', '5', '--out', out, ...args);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    return { bytes: readFileSync(out), stdout };
  };

  it('runs the scheduler file where no sampler is named', async () => {
    const own = await images(solver, '--steps', '5');
    expect(own.stdout).toMatch(/DPMSolverMultistepScheduler is dpm-solver\+\+-2m, .*, 5 evaluations$/m);
    expect((await images(solver, '--sampler', 'scheduler', '--steps', '5')).bytes).toEqual(own.bytes);
    const { scheduler } = await inspected(solver, '--steps', '5');
    const levels = join(folder, 'levels.json');
    writeFileSync(levels, JSON.stringify(scheduler.options.levels));
    const given = [
      '--sampler',
      'dpm-solver++-2m',
      '--levels',
      levels,
      '--lower-order-final',
      'always',
      '--clip',
      'none',
    ];
    expect((await images(solver, ...given)).bytes).toEqual(own.bytes);
    const json = JSON.parse((await images(solver, '--steps', '5', '--json')).stdout) as Inspected;
    expect(json.scheduler).toMatchObject({ sampler: 'dpm-solver++-2m', evaluations: 5 });
  });

  it('takes ddim where the options are of another sampler, or the model has no file', async () => {
    const ddim = await images(solver, '--sampler', 'ddim', '--steps', '3', '--eta', '0.5');
    expect((await images(solver, '--steps', '3', '--eta', '0.5')).bytes).toEqual(ddim.bytes);
    const without = packagePath('test/fixtures/unet/ho-ddpm');
    const named = await images(without, '--sampler', 'ddim', '--steps', '2');
    expect((await images(without, '--steps', '2')).bytes).toEqual(named.bytes);
  });

  it('takes levels that rise where they say so', async () => {
    const levels = join(folder, 'rising.json');
    const rising = [
      { alpha: 1, sigma: 1, time: 3, rises: true },
      { alpha: 1, sigma: 2 },
    ];
    writeFileSync(levels, JSON.stringify(rising));
    expect((await images(solver, '--sampler', 'euler', '--levels', levels)).bytes.length).toBeGreaterThan(0);
  });

  it.each([
    ['{}', /has to be an array of noise levels/],
    ['[3]', /entry 0 has to be an object/],
    ['[{"alpha": 1, "sigma": "x"}]', /entry 0: sigma is "x"/],
    ['[{"alpha": 1, "sigma": 1, "size": 1}]', /entry 0: the field size is not supported/],
    ['[{"alpha": 1, "sigma": 1, "time": null}]', /entry 0: time is null/],
    ['[{"alpha": 1, "sigma": 1, "time": 3, "to": 4}]', /entry 0: to has to be an object/],
    ['[{"alpha": 1, "sigma": 1, "time": 3, "to": {"alpha": 1}}]', /entry 0: to: sigma is missing/],
    ['[{"alpha": 1, "sigma": 1, "time": 3}]', /levels needs at least two/],
    ['[{"alpha": 1, "sigma": 1, "time": 3, "rises": 1}]', /entry 0: rises is 1/],
    ['[{"alpha": 1, "sigma": 1, "time": 3, "rises": false}, {"alpha": 1, "sigma": 2}]', /entry 0 has less noise than/],
    ['[{"alpha": 1, "sigma": 1, "time": 3, "rises": true}, {"alpha": 0, "sigma": 0}]', /entry 1 has alpha 0/],
  ])('refuses the levels %s', async (text, message) => {
    const levels = join(folder, 'wrong.json');
    writeFileSync(levels, text);
    const args = ['--sampler', 'euler', '--levels', levels, '--out', join(folder, 'x.png')];
    expect((await dpm('sample', solver, ...cpu, ...args)).stderr).toMatch(message);
  });
});
