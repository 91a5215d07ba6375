// Memory of runs: what they may take, and what they give back as they end, without waiting for V8's collector.
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { DiffusionModel, NoiseSchedule, samplers } from '../../../lib/index.js';
import { Device } from '../../../lib/engine/device.js';
import type { HostContext } from '../../../lib/program/host-context.js';
import type { HostProgram } from '../../../lib/program/program.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { packagePath } from '../../support/temporary.js';

let model: DiffusionModel;
beforeAll(async () => {
  model = await DiffusionModel.load(packagePath('test/fixtures/unet/diffusers-adm'), { device: 'cpu', threads: 1 });
});
afterAll(() => model.close());

const options = { count: 3, batch: 2, seed: 5, classLabels: [3, 7, 1] };

function host(run: (context: HostContext) => Promise<void>): HostProgram {
  return { kind: 'host', initialScale: 1, head: null, run };
}

/** Runs twice, as what is loaded at first stays, and expects that the second run leaves no bytes. */
async function expectNothingLeft(run: () => Promise<unknown>): Promise<void> {
  await run();
  const { host } = model.device.memory();
  await run();
  expect(model.device.memory().host).toBe(host);
}

describe('a program that decides while it runs leaves no tensor', () => {
  it.each<[string, (context: HostContext) => Promise<void>]>([
    ['of its own', (context) => context.noise('other', 0)],
    ['of an evaluation', (context) => context.evaluate('x', 321, 'out')],
    ['of a derivative forward', (context) => context.pushForward('x', 321, 'x', 'out', 'forward')],
    ['of a derivative back', (context) => context.pullBack('x', 321, 'x', 'out', 'back')],
  ])('%s', (_, run) => expectNothingLeft(() => model.run(host(run), options)));

  it('where it fails', async () => {
    const failing = host(async (context) => {
      await context.noise('other', 0);
      throw new Error('mine');
    });
    await expectNothingLeft(() => expect(model.run(failing, options)).rejects.toThrow('mine'));
  });
});

describe('a batch of its own is closed', () => {
  const program = samplers.ddim(NoiseSchedule.linear(), { steps: 2 });
  const shape = [2, 3, 4];
  const scripted = (predict: (x: Float32Array) => Float32Array) => () =>
    runProgram(program, { shape, device: model.device, model: predict });

  it('after a run', () => expectNothingLeft(scripted((x) => x)));

  it('after a run whose function fails', () => {
    const run = scripted(() => {
      throw new Error('mine');
    });
    return expectNothingLeft(() => expect(run()).rejects.toThrow('mine'));
  });

  it('after a run that is guided', () => {
    const guides = [(x: Float32Array) => x];
    return expectNothingLeft(() => model.sample({ sampler: 'ddim', steps: 2, ...options, guides }));
  });
});

it('a device of its own is closed, and no other', async () => {
  const close = vi.spyOn(Device.prototype, 'close');
  onTestFinished(() => {
    close.mockRestore();
  });
  const program = samplers.ddim(NoiseSchedule.linear(), { steps: 1 });
  const run = { shape: [1, 2], model: (x: Float32Array) => x };
  await runProgram(program, { ...run, device: model.device });
  expect(close).not.toHaveBeenCalled();
  await runProgram(program, run);
  expect(close).toHaveBeenCalledTimes(1);
  await expect(runProgram(program, { ...run, model: (x) => x.fill(NaN) })).rejects.toThrow('NaN');
  expect(close).toHaveBeenCalledTimes(2);
});

it('states that are kept on the way have to fit, too', async () => {
  const bytes = 4 * model.sampleShape.reduce((product, size) => product * size, 1);
  const run = { sampler: 'ddim', steps: 6, classLabels: 3 } as const;
  // One call may take half of it.
  vi.stubEnv('DPM_MEMORY', String((2 * 3 * bytes) / 2 ** 30));
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  expect((await model.sample({ ...run, snapshotEvery: 3 })).snapshots).toHaveLength(2);
  await expect(model.sample({ ...run, snapshotEvery: 2 })).rejects.toMatchObject({
    code: 'ERR_DPM_OUT_OF_MEMORY',
    message: expect.stringMatching(/^count is 1, with 4 states of each: /) as string,
  });
});
