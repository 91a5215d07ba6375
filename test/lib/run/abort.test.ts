// A run that is aborted between two records asks its model no more, however near its end it is.
import { afterAll, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers } from '../../../lib/samplers/index.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { hostDdim } from '../../support/host-ddim.js';

const schedule = NoiseSchedule.linear();
const programs = [
  ['a step program', samplers.ddim(schedule, { steps: 4 })],
  ['a host program', hostDdim(schedule, 4)],
] as const;

const device = Device.open({ device: 'cpu' });
afterAll(() => device.close());

it.each(programs.flatMap(([name, program]) => [1, 2, 3].map((last) => [name, last, program] as const)))(
  '%s aborted after evaluation %i of four',
  async (_, last, program) => {
    const controller = new AbortController();
    let asked = 0;
    const run = runProgram(program, {
      device,
      shape: [1, 4],
      model: (x) => {
        if (++asked === last) controller.abort('enough');
        return x;
      },
      signal: controller.signal,
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED', cause: 'enough' });
    // A whole run on the same device: what went on with the first one would have come as far.
    await runProgram(program, { device, shape: [1, 4], model: (x) => x });
    expect(asked).toBe(last);
  },
);
