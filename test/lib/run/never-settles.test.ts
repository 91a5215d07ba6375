// An abort ends work that would never end: a model of JavaScript, a host program, loading.
import { describe, expect, it } from 'vitest';

import {
  Device,
  DiffusionModel,
  estimateGamma,
  NoiseSchedule,
  runProgram,
  samplers,
  type HostProgram,
} from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';

const schedule = NoiseSchedule.linear();
const never = (): Promise<never> => new Promise(() => undefined);

/** A signal that aborts soon, and what a promise that it aborts rejects with. */
function soon(): { signal: AbortSignal; aborted: object } {
  const controller = new AbortController();
  const reason = new Error('enough');
  setTimeout(() => {
    controller.abort(reason);
  }, 20);
  return { signal: controller.signal, aborted: { code: 'ERR_DPM_ABORTED', cause: reason } };
}

describe('an abort', () => {
  it.each(['ddim', 'dpm-solver-adaptive'] as const)('ends a run whose model never settles: %s', async (name) => {
    const { signal, aborted } = soon();
    const program = name === 'ddim' ? samplers.ddim(schedule, { steps: 3 }) : samplers[name](schedule);
    await expect(runProgram(program, { shape: [2, 3], model: never, signal })).rejects.toMatchObject(aborted);
  });

  it('ends a host program that waits for something else, on a network, too', async () => {
    const program: HostProgram = { kind: 'host', initialScale: 1, head: null, run: never };
    const first = soon();
    const scripted = runProgram(program, { shape: [1, 3], model: (x) => x, signal: first.signal });
    await expect(scripted).rejects.toMatchObject(first.aborted);
    await using model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
    const second = soon();
    await expect(model.run(program, { signal: second.signal })).rejects.toMatchObject(second.aborted);
    expect((await model.sample({ sampler: 'ddim', steps: 1 })).images.count).toBe(1);
  });

  it('ends an estimate whose model never settles', async () => {
    await using device = Device.open({ device: 'cpu' });
    const { signal, aborted } = soon();
    const model = { schedule, device, sampleShape: [1, 1, 2] as const, model: never };
    await expect(estimateGamma(model, new Float32Array(2), { samples: 1, signal })).rejects.toMatchObject(aborted);
  });

  it('is not undone by what the model rejects with later', async () => {
    const { signal, aborted } = soon();
    const late = (): Promise<never> =>
      new Promise((_, reject) => {
        setTimeout(() => {
          reject(new Error('late'));
        }, 60);
      });
    const run = runProgram(samplers.ddim(schedule, { steps: 3 }), { shape: [1, 3], model: late, signal });
    await expect(run).rejects.toMatchObject(aborted);
    await new Promise((resolve) => setTimeout(resolve, 80));
  });

  it('takes the place of the error with which the model ends by the same signal', async () => {
    const { signal, aborted } = soon();
    const listening = (): Promise<never> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(new DOMException('stopped', 'AbortError'));
        });
      });
    const run = runProgram(samplers.ddim(schedule, { steps: 3 }), { shape: [1, 3], model: listening, signal });
    await expect(run).rejects.toMatchObject(aborted);
  });

  it.each(['throws', 'rejects'] as const)(
    'by the model itself, which then %s, leaves nothing unhandled',
    async (end) => {
      const unhandled: unknown[] = [];
      const collect = (reason: unknown): void => void unhandled.push(reason);
      process.on('unhandledRejection', collect);
      const controller = new AbortController();
      const model = (): Promise<never> => {
        controller.abort(new Error('enough'));
        if (end === 'throws') throw new Error('last words');
        return Promise.reject(new Error('last words'));
      };
      const run = runProgram(samplers.ddim(schedule, { steps: 3 }), {
        shape: [1, 3],
        model,
        signal: controller.signal,
      });
      await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED', cause: new Error('enough') });
      await new Promise((resolve) => setTimeout(resolve, 10));
      process.off('unhandledRejection', collect);
      expect(unhandled).toEqual([]);
    },
  );

  it('ends loading, before it begins and between two weights', async () => {
    const path = packagePath('models/mnist');
    const before = DiffusionModel.load(path, { device: 'cpu', signal: AbortSignal.abort(new Error('no')) });
    await expect(before).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    for (const delay of [0, 1, 2, 5]) {
      const controller = new AbortController();
      const loading = DiffusionModel.load(path, { device: 'cpu', signal: controller.signal });
      setTimeout(() => {
        controller.abort(new Error('no'));
      }, delay);
      const outcome = await loading.then(
        async (model) => {
          await model.close();
          return 'loaded';
        },
        (error: unknown) => (error as { code: string }).code,
      );
      expect(['loaded', 'ERR_DPM_ABORTED']).toContain(outcome);
    }
  });
});
