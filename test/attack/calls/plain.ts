// Functions that need neither a model nor a device.
import * as dpm from '../../../lib/index.js';
import type { PublicCall } from '../attack.js';
import { of, type Any } from './of.js';

const schedule = dpm.NoiseSchedule.linear({ steps: 100 });
const continuous = dpm.NoiseSchedule.vp();
const record = dpm.stepRecord({ time: 1, x: dpm.linear({ x: 0.5, out: 0.1 }) });
const program = dpm.samplers.ddim(schedule, { steps: 2 });

export function plainCalls(): PublicCall[] {
  const { NoiseSchedule, samplers } = dpm;
  const table: dpm.GammaTable = {
    schedule: 'linear',
    numTrainTimesteps: 100,
    imagesPerStep: 1,
    m: new Float64Array(101).fill(1),
  };
  const errors: dpm.ErrorTable = {
    schedule: 'linear',
    numTrainTimesteps: 100,
    imagesPerStep: 1,
    squaredError: new Float64Array(101).fill(0.1),
    decoder: new Float64Array(101).fill(0.1),
  };
  const images = new dpm.ImageBatch(new Float32Array(8), [2, 1, 2, 2]);
  const schedules = ['linear', 'scaledLinear', 'cosine', 'vp', 've', 'edm', 'vpDiscrete'] as const;
  return [
    ...schedules.map((name) => of(`NoiseSchedule.${name}`, (options: object) => NoiseSchedule[name](options), [{}])),
    of('NoiseSchedule.fromBetas', (betas: never, options: never) => NoiseSchedule.fromBetas(betas, options), [
      [0.1, 0.2],
      {},
    ]),
    of(
      'NoiseSchedule.fromSchedulerConfig',
      (config: never, options: never, source: never) => NoiseSchedule.fromSchedulerConfig(config, options, source),
      [{ _class_name: 'DDPMScheduler' }, {}, 'file'],
      {
        0: [
          'num_train_timesteps',
          'beta_start',
          'beta_end',
          'beta_schedule',
          'trained_betas',
          'clip_sample',
          'variance_type',
          'prediction_type',
          'timestep_spacing',
        ],
      },
    ),
    of('NoiseSchedule.with', (options: never) => schedule.with(options), [{}]),
    of('NoiseSchedule.with: defaults', (defaults: never) => schedule.with({ defaults }), [{}]),
    of('NoiseSchedule.continuous', (options: never) => schedule.continuous(options), [{}]),
    ...(['alphaBar', 'betaBar', 'logSnr', 'networkTime', 'logAlphaBar'] as const).map((name) =>
      of(`NoiseSchedule.${name}`, (t: never) => schedule[name](t), [3]),
    ),
    ...(['rate', 'diffusion', 'timeOfLogSnr'] as const).map((name) =>
      of(`NoiseSchedule.${name}`, (t: never) => continuous[name](t), [0.3]),
    ),
    ...(['alphaBarBetween', 'betaBarBetween'] as const).map((name) =>
      of(`NoiseSchedule.${name}`, (s: never, t: never) => schedule[name](s, t), [1, 2]),
    ),
    of('NoiseSchedule.initialScale', (time: never) => schedule.initialScale(time), [99]),
    of('NoiseSchedule.sde', () => continuous.sde(), []),
    of('NoiseSchedule.addNoise', (x: never, noise: never, t: never) => schedule.addNoise(x, noise, t), [
      new Float32Array(4),
      new Float32Array(4),
      3,
    ]),
    of('NoiseSchedule.posteriorVariance', (s: never, t: never) => schedule.posteriorVariance(s, t), [1, 2]),
    of('linear', dpm.linear, [{ x: 1 }]),
    of('stepRecord', dpm.stepRecord, [{ time: 1 }]),
    of('stepProgram', dpm.stepProgram, [[record], {}]),
    of('stepProgram: a record', (each: never) => dpm.stepProgram([each]), [{ ...record }]),
    of('packRecords', dpm.packRecords, [{ ...program }]),
    of('packRecords: a record', (each: never) => dpm.packRecords({ ...program, records: [each] }), [{ ...record }]),
    of(
      'ImageBatch.toUint8: of what is given',
      (values: never, shape: never, range: never) => new dpm.ImageBatch(values, shape, range).toUint8(),
      [new Float32Array(4), [1, 1, 2, 2], [-1, 1]],
    ),
    of('ImageBatch.decode', (bytes: never, like: never) => dpm.ImageBatch.decode(bytes, like), [
      images.slice(0, 1).toPng(),
      { sampleShape: [1, 2, 2], range: [0, 1], mostPixels: 64 },
    ]),
    of('ImageBatch.decodeMask', (bytes: never, options: never) => dpm.ImageBatch.decodeMask(bytes, options), [
      images.slice(0, 1).toPng(),
      { mostPixels: 64 },
    ]),
    of('ImageBatch.grid', (options: never) => images.grid(options), [{}]),
    of('ImageBatch.toPng', (options: never) => images.toPng(options), [{}]),
    of('ImageBatch.slice', (first: never, end: never) => images.slice(first, end), [0, 1]),
    of('ImageBatch.interleaved', () => images.interleaved(), []),
    of('ImageBatch.toRGBA', () => images.toRGBA(), []),
    of('compareImages', dpm.compareImages, [
      new dpm.ImageBatch(new Float32Array(512), [2, 1, 16, 16]),
      new dpm.ImageBatch(new Float32Array(512).fill(0.1), [2, 1, 16, 16]),
    ]),
    of('guidedRows', dpm.guidedRows, [{ classes: 10 }, {}]),
    of('guidedRows: a weight per sample', (options: never) => dpm.guidedRows({ classes: 10 }, options), [
      { count: 2, guidance: [2, 0] },
    ]),
    of('takesUnconditionalLabel', dpm.takesUnconditionalLabel, [[2, 1]]),
    of('lastNoiseDeviation', dpm.lastNoiseDeviation, [2, 2]),
    of('devices', dpm.devices, []),
    of('jump', dpm.jump, [schedule, { s: 1, t: 2 }, 0.5]),
    of('optimalTrajectory', dpm.optimalTrajectory, [dpm.analyticCosts(schedule, table), 3, 100]),
    of('continuousGrid', dpm.continuousGrid, [NoiseSchedule.vp(), 3, 'logsnr', 1, 1e-3, 7]),
    of('discreteTransitions', dpm.discreteTransitions, [schedule, { steps: 3 }]),
    of('analyticVariance', dpm.analyticVariance, [dpm.jump(schedule, { s: 1, t: 2 }, 1), 1]),
    of('analyticVarianceBounds', dpm.analyticVarianceBounds, [dpm.jump(schedule, { s: 1, t: 2 }, 1)]),
    of('analyticCosts', dpm.analyticCosts, [schedule, { ...table }]),
    of('fixedVarianceCosts', dpm.fixedVarianceCosts, [schedule, { ...errors }, 'beta']),
    of('schedulerRun', dpm.schedulerRun, [NoiseSchedule.fromSchedulerConfig({ _class_name: 'DDIMScheduler' }), 5]),
    ...dpm.samplerNames.map((name) =>
      of(
        `samplers.${name}`,
        (options: never) =>
          (samplers[name] as Any)(
            samplers[name].facts.name === 'scheduler'
              ? NoiseSchedule.fromSchedulerConfig({ _class_name: 'DDIMScheduler' })
              : schedule,
            options,
          ),
        [
          {
            ...('steps' in samplers[name].facts.options && { steps: 4 }),
            ...(samplers[name].facts.needsGamma && { gamma: table }),
          },
        ],
      ),
    ),
    of('samplers: a schedule', (given: never) => samplers.ddim(given, { steps: 2 }), [schedule]),
  ];
}
