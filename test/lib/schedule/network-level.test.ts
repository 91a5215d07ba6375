// Amplitudes of states by the number that enters a time embedding.
import { describe, expect, it } from 'vitest';

import { NoiseSchedule } from '../../../lib/index.js';
import { amplitudesOfNetworkTime } from '../../../lib/schedule/network-level.js';

const cosine = NoiseSchedule.fromSchedulerConfig({
  _class_name: 'DDIMScheduler',
  num_train_timesteps: 1000,
  beta_schedule: 'squaredcos_cap_v2',
  clip_sample: false,
});

describe('the amplitudes for a network time', () => {
  it.each([
    ['a linear table', NoiseSchedule.linear()],
    ['one whose betas are limited', cosine],
    ['one whose times are shares', cosine.with({ networkTime: 'rescaled' })],
    ['one whose times fall', cosine.with({ networkTime: (time) => -time })],
  ])('are those of %s at its own times', (_, schedule) => {
    for (const n of [1, 2, 17, 500, 998, 999, 1000]) {
      const expected = { alpha: Math.sqrt(schedule.alphaBar(n)), sigma: Math.sqrt(schedule.betaBar(n)) };
      const time = schedule.networkTime(n);
      expect(amplitudesOfNetworkTime(schedule, time), String(n)).toEqual(expected);
      // As the engine has it.
      expect(amplitudesOfNetworkTime(schedule, Math.fround(time)), String(n)).toEqual(expected);
    }
  });

  it('lie between those of its neighbours elsewhere', () => {
    for (const n of [3, 400, 900]) {
      const [low, high] = [n, n + 1].map((time) => amplitudesOfNetworkTime(cosine, cosine.networkTime(time)));
      const { alpha, sigma } = amplitudesOfNetworkTime(cosine, (cosine.networkTime(n) + cosine.networkTime(n + 1)) / 2);
      expect(alpha).toBeLessThan(low!.alpha);
      expect(alpha).toBeGreaterThan(high!.alpha);
      expect(sigma).toBeGreaterThan(low!.sigma);
      expect(sigma).toBeLessThan(high!.sigma);
    }
  });
});
