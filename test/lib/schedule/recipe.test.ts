// Schedules that are made again from what can be sent to another thread.
import { describe, expect, it } from 'vitest';

import { DpmError, NoiseSchedule } from '../../../lib/index.js';
import { scheduleOf } from '../../../lib/schedule/made-again.js';
import { scheduleChanges, scheduleMakers } from '../../../lib/schedule/recipe.js';

const config = { _class_name: 'DDPMScheduler', num_train_timesteps: 50, beta_schedule: 'linear', clip_sample: false };
const made: Record<(typeof scheduleMakers)[number], NoiseSchedule> = {
  linear: NoiseSchedule.linear({ steps: 50, end: 0.3 }),
  scaledLinear: NoiseSchedule.scaledLinear({ steps: 40 }),
  cosine: NoiseSchedule.cosine({ steps: 30 }),
  fromBetas: NoiseSchedule.fromBetas([0.1, 0.2, 0.3], { rescaleBetasZeroSnr: true }),
  vp: NoiseSchedule.vp({ end: 10 }),
  vpDiscrete: NoiseSchedule.vpDiscrete({ steps: 20 }),
  ve: NoiseSchedule.ve({ sigmaMax: 30 }),
  edm: NoiseSchedule.edm({ sigmaData: 0.7 }),
  fromSchedulerConfig: NoiseSchedule.fromSchedulerConfig(config, {}, 'here.json'),
};

/** What samplers read of a schedule. */
function read(schedule: NoiseSchedule): unknown {
  const { name, steps, discrete, defaults, noisiest, cleanest, greatestTime, scheduler, preservesVariance } = schedule;
  const times = [cleanest, noisiest, ...(discrete ? [2] : [0.3, 0.7])];
  const numbers = times.map((time) => [schedule.logAlphaBar(time), schedule.betaBar(time), schedule.networkTime(time)]);
  const back = [-2, 0.5].map((logSnr) => schedule.timeOfLogSnr(logSnr));
  const plain = { name, steps, discrete, defaults, noisiest, cleanest, greatestTime, scheduler, preservesVariance };
  return { ...plain, numbers, back };
}

function again(schedule: NoiseSchedule): NoiseSchedule {
  expect(schedule.recipe).not.toBeNull();
  return scheduleOf(structuredClone(schedule.recipe ?? []));
}

describe('a schedule made again from its recipe', () => {
  it.each(scheduleMakers)('is the same: %s', (maker) => {
    const schedule = made[maker];
    expect(read(again(schedule))).toEqual(read(schedule));
    for (const change of scheduleChanges) {
      const changed = schedule[change]({ networkTime: schedule.preservesVariance ? 'rescaled' : 'edm' });
      expect(read(again(changed)), change).toEqual(read(changed));
    }
  });

  it('is not that of options which changed later', () => {
    const betas = [0.1, 0.2, 0.3];
    const schedule = NoiseSchedule.fromBetas(betas);
    betas[0] = 0.9;
    expect(read(again(schedule))).toEqual(read(schedule));
  });

  it('is impossible where a function is a part of it', () => {
    const schedule = NoiseSchedule.linear({ networkTime: (time) => time });
    expect([schedule, schedule.with({}), schedule.continuous(), schedule.sde()].map(({ recipe }) => recipe)).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  it('is impossible after too many calls', () => {
    let schedule = NoiseSchedule.linear({ steps: 50 });
    for (let i = 1; i < 64; ++i) schedule = schedule.with({});
    expect(scheduleOf(schedule.recipe ?? []).name).toBe('linear');
    expect(schedule.with({}).recipe).toBeNull();
    const sent = schedule.recipe ?? [];
    expect(() => scheduleOf([...sent, ['with', {}]])).toThrow(/an array of 1 to 64 entries/);
    expect(() => scheduleOf(new Array(2 ** 32 - 1) as never)).toThrow(DpmError);
  });

  it('is refused for what is no recipe', () => {
    const changed = [
      ['linear', {}],
      ['logSnr', 1],
    ];
    for (const recipe of [
      null,
      {},
      [],
      [[]],
      [null],
      [['with', {}]],
      [['linear', {}], ['linear']],
      changed,
      [['name']],
    ]) {
      expect(() => scheduleOf(recipe as never), JSON.stringify(recipe)).toThrow(DpmError);
    }
  });
});
