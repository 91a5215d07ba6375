import type { HostProgram } from '../../lib/program/program.js';
import { jump } from '../../lib/schedule/jump.js';
import type { NoiseSchedule } from '../../lib/schedule/noise-schedule.js';
import { discreteTransitions } from '../../lib/schedule/trajectory.js';

/** DDIM without noise and clipping as a host program, to be compared with the step program. */
export function hostDdim(schedule: NoiseSchedule, steps: number): HostProgram {
  return {
    kind: 'host',
    initialScale: 1,
    head: null,
    async run(context) {
      const transitions = discreteTransitions(schedule, { steps });
      for (const [done, transition] of transitions.entries()) {
        const { alphaT, sigmaT, alphaS, direction, t } = jump(schedule, transition, 0);
        await context.evaluate('x', schedule.networkTime(t), 'epsilon');
        await context.linearCombination('x', [
          [alphaS / alphaT, 'x'],
          [direction - (alphaS * sigmaT) / alphaT, 'epsilon'],
        ]);
        context.progress(done + 1, transitions.length);
      }
    },
  };
}
