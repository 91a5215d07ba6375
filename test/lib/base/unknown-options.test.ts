// Unknown options are refused wherever options are taken, with the nearest name.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  Device,
  DeviceTensor,
  DiffusionModel,
  NoiseSchedule,
  UNet,
  estimateErrors,
  estimateGamma,
  estimateLikelihood,
  linear,
  runProgram,
  samplers,
  stepProgram,
  stepRecord,
  update,
} from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';

const mnist = packagePath('models/mnist');
const wrong = (options: object): never => options as never;

describe('misspelt options of schedules', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['linear', () => NoiseSchedule.linear(wrong({ betaEnd: 0.02 })), /NoiseSchedule\.linear has no option 'betaEnd'/],
    ['scaledLinear', () => NoiseSchedule.scaledLinear(wrong({ ends: 1 })), /'ends' \(did you mean 'end'\?\)/],
    [
      'cosine',
      () => NoiseSchedule.cosine(wrong({ start: 1 })),
      /cosine has no option 'start'.*: networkTime, defaults, rescaleBetasZeroSnr, steps/,
    ],
    ['fromBetas', () => NoiseSchedule.fromBetas([0.1], wrong({ steps: 1 })), /fromBetas has no option 'steps'/],
    ['vp', () => NoiseSchedule.vp(wrong({ step: 10 })), /vp has no option 'step' \(did you mean 'steps'\?\)/],
    ['vpDiscrete', () => NoiseSchedule.vpDiscrete(wrong({ step: 10 })), /vpDiscrete has no option 'step'/],
    [
      've',
      () => NoiseSchedule.ve(wrong({ sigmamax: 10 })),
      /ve has no option 'sigmamax' \(did you mean 'sigmaMax'\?\)/,
    ],
    ['edm', () => NoiseSchedule.edm(wrong({ sigma: 1 })), /edm has no option 'sigma'/],
    ['with', () => NoiseSchedule.linear().with(wrong({ default: {} })), /schedule\.with has no option 'default'/],
    ['continuous', () => NoiseSchedule.linear().continuous(wrong({ steps: 3 })), /continuous has no option 'steps'/],
    [
      'defaults',
      () => NoiseSchedule.linear({ defaults: wrong({ clips: 1 }) }),
      /has no option 'clips' \(did you mean 'clip'\?\)/,
    ],
    [
      'fromSchedulerConfig',
      () => NoiseSchedule.fromSchedulerConfig({ _class_name: 'DDPMScheduler' }, wrong({ steps: 3 })),
      /fromSchedulerConfig has no option 'steps'/,
    ],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message);
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }));
  });

  it('are not what is undefined', () => {
    expect(NoiseSchedule.linear(wrong({ betaEnd: undefined })).steps).toBe(1000);
    expect(() => NoiseSchedule.linear(null as never)).toThrow(/options of NoiseSchedule\.linear is null/);
  });
});

describe('misspelt parts of programs', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['linear', () => linear(wrong({ z: 1 })), /linear has no option 'z'/],
    ['stepRecord', () => stepRecord(wrong({ time: 1, clips: 1 })), /stepRecord has no option 'clips' .*'clip'/],
    [
      'stepProgram',
      () => stepProgram([stepRecord({ time: 1 })], wrong({ heads: 'sn' })),
      /stepProgram has no option 'heads'/,
    ],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message);
  });

  it('and registers', async () => {
    await using device = Device.open({ device: 'cpu' });
    using x = device.tensor([1, 2]);
    const registers: object = { x, outs: null };
    await expect(update(stepRecord({ time: 1 }), wrong(registers))).rejects.toThrow(
      /registers of update has no option 'outs'/,
    );
  });
});

describe('misspelt options of devices and models', () => {
  let model: DiffusionModel;
  beforeAll(async () => {
    model = await DiffusionModel.load(mnist, { device: 'cpu' });
  });
  afterAll(async () => {
    await model.close();
  });
  const refused = async (call: Promise<unknown>): Promise<string> => call.then(() => 'done', String);

  it('are refused by every call', async () => {
    expect(() => Device.open(wrong({ thread: 1 }))).toThrow(
      /Device\.open has no option 'thread' \(did you mean 'threads'\?\)/,
    );
    expect(await refused(DiffusionModel.load(mnist, wrong({ heads: 'sn' })))).toMatch(
      /load has no option 'heads'.*'head'/,
    );
    expect(await refused(model.sample(wrong({ sampler: 'ddim', steps: 2, sed: 1 })))).toMatch(/no option 'sed'/);
    const program = samplers.ddim(model.schedule, { steps: 1 });
    expect(await refused(model.run(program, wrong({ counts: 1 })))).toMatch(/run has no option 'counts'.*'count'/);
    const x = new Float32Array(28 * 28);
    expect(await refused(model.unet.forward(x, 1, wrong({ classLabel: 1 })))).toMatch(
      /forward has no option 'classLabel'/,
    );
    const scripted = { shape: [1, 1], model: (state: Float32Array): Float32Array => state, seeds: 1 };
    expect(await refused(runProgram(program, scripted))).toMatch(/runProgram has no option 'seeds'/);
    expect(await refused(estimateGamma(model, x, wrong({ samples: 1, sample: 1 })))).toMatch(/estimateGamma has no/);
    expect(await refused(estimateErrors(model, x, wrong({ samples: 1, clips: 1 })))).toMatch(/estimateErrors has no/);
    const likelihood = estimateLikelihood(model, x, wrong({ sampler: 'ddpm', steps: 2, order: 2 }));
    expect(await refused(likelihood)).toMatch(/sampler ddpm has no option 'order'/);
  });

  it('reach neither networks nor tensors: these have no public constructor', () => {
    const construct = {
      tensor: (): void => {
        // @ts-expect-error: Device.tensor makes them
        new DeviceTensor(model.device, [0]);
      },
      network: (): void => {
        // @ts-expect-error: models load them
        new UNet();
      },
    };
    expect(construct.tensor).toThrow();
    expect(construct.network).toThrow();
    const { records } = samplers.ddim(model.schedule, { steps: 2 });
    // @ts-expect-error: a program that was compiled does not change
    const change = (): void => void (records[0]!.time = 3);
    expect(change).toBeTypeOf('function');
  });
});
