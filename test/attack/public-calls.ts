// Every public call of the library with arguments that it accepts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as dpm from '../../lib/index.js';
import type { PublicCall } from './attack.js';

type Any = (...args: unknown[]) => unknown;

const runOptions = [
  'count',
  'seed',
  'classLabels',
  'guidance',
  'unconditionalLabel',
  'init',
  'noise',
  'batch',
  'format',
  'snapshotEvery',
  'onPreview',
  'previewEvery',
  'signal',
  'onProgress',
];
const deviceOptions = ['device', 'dtype', 'threads', 'exact', 'tf32', 'autotune'];
const loadOptions = [...deviceOptions, 'head', 'config', 'imageSize', 'networkTime', 'schedule', 'signal'];
const scheduleOptions = ['networkTime', 'defaults'];
const estimateOptions = ['samples', 'seed', 'timesteps', 'classLabels', 'batch', 'signal', 'onProgress', 'clip'];

function of(name: string, call: unknown, args: readonly unknown[], options?: PublicCall['options']): PublicCall {
  return { name, call: call as Any, args, ...(options && { options }) };
}

const schedule = dpm.NoiseSchedule.linear({ steps: 100 });
const record = dpm.stepRecord({ time: 1, x: dpm.linear({ x: 0.5, out: 0.1 }) });
const program = dpm.samplers.ddim(schedule, { steps: 2 });
const model = (x: Float32Array): Float32Array => x;
const pixels = 28 * 28;

/** Functions that need neither a model nor a device. */
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
    ...schedules.map((name) =>
      of(`NoiseSchedule.${name}`, (options: object) => NoiseSchedule[name](options), [{}], {
        0: [...scheduleOptions, 'steps', 'start', 'end', 'rescaleBetasZeroSnr', 'sigmaMin', 'sigmaMax', 'sigmaData'],
      }),
    ),
    of(
      'NoiseSchedule.fromBetas',
      (betas: never, options: never) => NoiseSchedule.fromBetas(betas, options),
      [[0.1, 0.2], {}],
      { 1: scheduleOptions },
    ),
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
        1: scheduleOptions,
      },
    ),
    of('schedule.with', (options: never) => schedule.with(options), [{}], { 0: scheduleOptions }),
    of('schedule.with defaults', (defaults: never) => schedule.with({ defaults }), [{}], {
      0: ['clip', 'prediction', 'variance', 'sigmaData', 'dataRange'],
    }),
    of('schedule.continuous', (options: never) => schedule.continuous(options), [{}], { 0: ['networkTime'] }),
    ...(['alphaBar', 'betaBar', 'logSnr', 'networkTime'] as const).map((name) =>
      of(`schedule.${name}`, (t: never) => schedule[name](t), [3]),
    ),
    of('schedule.posteriorVariance', (s: never, t: never) => schedule.posteriorVariance(s, t), [1, 2]),
    of('linear', dpm.linear, [{ x: 1 }], { 0: ['x', 'y', 'out', 'history'] }),
    of('stepRecord', dpm.stepRecord, [{ time: 1 }], {
      0: ['evaluate', 'inputScale', 'read', 'prediction', 'clip', 'store', 'x', 'variance', 'y'],
    }),
    of('stepProgram', dpm.stepProgram, [[record], {}], { 1: ['history', 'initialScale', 'head'] }),
    of('a record of stepProgram', (each: never) => dpm.stepProgram([each]), [{ ...record }]),
    of('packRecords', dpm.packRecords, [{ ...program }]),
    of('packRecords of a record', (each: never) => dpm.packRecords({ ...program, records: [each] }), [{ ...record }]),
    of(
      'ImageBatch',
      (values: never, shape: never, range: never) => new dpm.ImageBatch(values, shape, range).toUint8(),
      [new Float32Array(4), [1, 1, 2, 2], [-1, 1]],
    ),
    of('grid', (options: never) => images.grid(options), [{}], { 0: ['columns', 'gap'] }),
    of('toPng', (options: never) => images.toPng(options), [{}], { 0: ['columns', 'gap', 'scale', 'labels'] }),
    of('slice', (first: never, end: never) => images.slice(first, end), [0, 1]),
    of('jump', dpm.jump, [schedule, { s: 1, t: 2 }, 0.5], { 1: [] }),
    of('optimalTrajectory', dpm.optimalTrajectory, [dpm.analyticCosts(schedule, table), 3, 100]),
    of('continuousGrid', dpm.continuousGrid, [NoiseSchedule.vp(), 3, 'logsnr', 1, 1e-3, 7]),
    of('discreteTransitions', dpm.discreteTransitions, [schedule, { steps: 3 }], {
      1: ['trajectory', 'timesteps', 'tStart', 'tEnd', 'costs'],
    }),
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
        { 0: Object.keys(samplers[name].facts.options) },
      ),
    ),
    of('a sampler with a hostile schedule', (given: never) => samplers.ddim(given, { steps: 2 }), [schedule]),
  ];
}

/** Functions that read and write files in a folder. */
export function fileCalls(folder: string): PublicCall[] {
  const path = (name: string): string => join(folder, name);
  writeFileSync(
    path('gamma.json'),
    JSON.stringify({ schedule: 'linear', num_train_timesteps: 2, images_per_step: 1, m: [0, 1, 1] }),
  );
  const images = new dpm.ImageBatch(new Float32Array(8), [2, 1, 2, 2]);
  const tensor = { shape: [2], data: new Float32Array(2) };
  return [
    of('writeSafetensors', dpm.writeSafetensors, [path('a.safetensors'), { a: tensor }, { note: 'text' }], {
      1: ['b'],
    }),
    of('writeSafetensors of a tensor', (a: never) => dpm.writeSafetensors(path('b.safetensors'), { a }), [
      { ...tensor },
    ]),
    of('readSafetensorsHeader', dpm.readSafetensorsHeader, [path('a.safetensors')]),
    of(
      'readFloats',
      async (name: never, accepted: never) => dpm.readFloats(await written(path('c.safetensors')), name, accepted),
      ['a', ['F32']],
    ),
    of('readFloats of a header', (header: never) => dpm.readFloats(header, 'a'), [{}], {
      0: ['path', 'tensors', 'metadata'],
    }),
    of('readGammaTable', dpm.readGammaTable, [path('gamma.json')]),
    of('writeGammaTable', dpm.writeGammaTable, [
      path('g.json'),
      { schedule: 'linear', numTrainTimesteps: 2, imagesPerStep: 1, m: new Float64Array(3).fill(1) },
    ]),
    of('readErrorTable', dpm.readErrorTable, [path('e.json')]),
    of('writeErrorTable', dpm.writeErrorTable, [
      path('e.json'),
      {
        schedule: 'linear',
        numTrainTimesteps: 2,
        imagesPerStep: 1,
        squaredError: new Float64Array(3).fill(1),
        decoder: new Float64Array(3).fill(1),
      },
    ]),
    of('save', (target: never, options: never) => images.save(target, options), [path('images.png'), {}], {
      1: ['columns', 'gap', 'scale', 'labels'],
    }),
    of('ImageBatch.load', (given: never, like: never) => dpm.ImageBatch.load(given, like), [path('images.png'), {}], {
      1: ['sampleShape', 'range'],
    }),
  ];
}

async function written(path: string): Promise<dpm.SafetensorsHeader> {
  await dpm.writeSafetensors(path, { a: { shape: [2], data: new Float32Array(2) } });
  return dpm.readSafetensorsHeader(path);
}

/** Calls that run something: on a device, a model of JavaScript or the bundled network. */
export function runningCalls(loaded: dpm.DiffusionModel, device: dpm.Device): PublicCall[] {
  const own = dpm.samplers.ddim(loaded.schedule, { steps: 2 });
  const x = device.tensor([1, 4]);
  const host: dpm.HostProgram = {
    kind: 'host',
    initialScale: 1,
    head: null,
    run: async (context) => context.evaluate('x', 1, 'out'),
  };
  const data = new Float32Array(2 * pixels).fill(-1);
  const scripted: dpm.ScriptedModel = { schedule, device, sampleShape: [1, 2, 2], model };
  const inContext = (use: (context: dpm.HostContext) => Promise<unknown>): Promise<unknown> =>
    dpm.runProgram(
      {
        ...host,
        run: async (context) => {
          await use(context);
        },
      },
      { shape: [2, 3], model },
    );
  return [
    of('Device.open', async (options: never) => dpm.Device.open(options).close(), [{ device: 'cpu' }], {
      0: deviceOptions,
    }),
    of(
      'device.tensor',
      (shape: never) => {
        device.tensor(shape).free();
      },
      [[1, 4]],
    ),
    of('tensor.write', (values: never) => x.write(values), [new Float32Array(4)]),
    of('tensor.read', (into: never) => x.read(into), [new Float32Array(4)]),
    of('update', dpm.update, [{ ...record }, { x, out: x }, [{ seed: 1, sampleIndex: 0, record: 0, draw: 0 }]], {
      1: ['y', 'head', 'noise', 'history'],
    }),
    of('a stream of update', (stream: never) => dpm.update(record, { x, out: x }, [stream]), [
      { seed: 1, sampleIndex: 0, record: 0, draw: 0 },
    ]),
    of('records of update', (records: never) => dpm.update(records, { x, out: x }), [[record]]),
    of(
      'DiffusionModel.load',
      async (path: never, options: never) => (await dpm.DiffusionModel.load(path, options)).close(),
      ['mnist', { device: 'cpu', threads: 1 }],
      { 1: loadOptions },
    ),
    of('model.sample', (options: never) => loaded.sample(options), [{ sampler: 'ddim', steps: 2 }], {
      0: [...runOptions, 'eta', 'clip', 'trajectory', 'prediction', 'timesteps'],
    }),
    of(
      'model.stream',
      async (options: never) => {
        for await (const _ of loaded.stream(options)) break;
      },
      [{ sampler: 'ddim', steps: 2 }],
      { 0: [...runOptions, 'eta'] },
    ),
    of('model.run', (given: never, options: never) => loaded.run(given, options), [{ ...own }, {}], { 1: runOptions }),
    of('model.run of several', (given: never) => loaded.run([own, given]), [{ ...own }]),
    of(
      'forward',
      (given: never, t: never, options: never) => loaded.unet.forward(given, t, options),
      [new Float32Array(pixels), 1, {}],
      { 2: ['classLabels', 'out', 'head'] },
    ),
    of('runProgram', dpm.runProgram, [{ ...program }, { shape: [1, 4], model }], {
      1: ['init', 'seed', 'noise', 'correct', 'signal', 'onProgress', 'device'],
    }),
    of('runProgram of a host program', dpm.runProgram, [{ ...host }, { shape: [1, 4], model }], {
      1: ['init', 'seed', 'noise', 'correct', 'signal'],
    }),
    of(
      'what a model returns',
      (answer: never) => dpm.runProgram(program, { shape: [1, 784], model: () => answer }),
      [{ out: new Float32Array(784) }],
      { 0: ['head'] },
    ),
    of(
      'what correct returns',
      (answer: never) => dpm.runProgram(program, { shape: [1, 784], model, correct: () => answer }),
      [new Float32Array(784)],
    ),
    of(
      'what onProgress returns',
      (answer: never) => dpm.runProgram(program, { shape: [1, 4], model, onProgress: () => answer }),
      [undefined],
    ),
    of(
      'context.evaluate',
      (input: never, time: never, output: never, head: never) =>
        inContext((context) => context.evaluate(input, time, output, head)),
      ['x', 1, 'out', undefined],
    ),
    of(
      'context.linearCombination',
      (target: never, terms: never, clip: never) =>
        inContext((context) => context.linearCombination(target, terms, clip)),
      ['x', [[1, 'x']], { kind: 'static', low: -1, high: 1 }],
    ),
    of(
      'a term',
      (coefficient: never, name: never) =>
        inContext((context) => context.linearCombination('x', [[coefficient, name]])),
      [1, 'x'],
    ),
    of(
      'context.noise',
      (target: never, index: never, draw: never) => inContext((context) => context.noise(target, index, draw)),
      ['x', 1, 0],
    ),
    of(
      'context.apply',
      (target: never, sources: never, each: never) => inContext((context) => context.apply(target, sources, each)),
      ['x', ['x'], (value: number) => 2 * value],
    ),
    of('context.reduce', (kind: never, a: never, b: never) => inContext((context) => context.reduce(kind, a, b)), [
      'dot',
      'x',
      'x',
    ]),
    of(
      'context.errorNorm',
      (error: never, sizes: never, tolerance: never) =>
        inContext((context) => context.errorNorm(error, sizes, tolerance)),
      ['x', ['x', 'x'], () => 1],
    ),
    of('context.read', (name: never) => inContext((context) => context.read(name)), ['x']),
    of(
      'context.progress',
      (done: never, total: never) =>
        inContext(async (context) => {
          context.progress(done, total);
          return Promise.resolve();
        }),
      [1, 2],
    ),
    of('estimateGamma', dpm.estimateGamma, [loaded, data, { samples: 1, timesteps: [1] }], { 2: estimateOptions }),
    of('estimateGamma of a script', dpm.estimateGamma, [
      { ...scripted },
      new Float32Array(4),
      { samples: 1, timesteps: [1] },
    ]),
    of('estimateErrors', dpm.estimateErrors, [loaded, data, { samples: 1, timesteps: [1] }], { 2: estimateOptions }),
    of('estimateLikelihood', dpm.estimateLikelihood, [loaded, data, { sampler: 'ddpm', steps: 2, samples: 1 }], {
      2: [...estimateOptions, 'decoder', 'trajectory', 'variance', 'gamma', 'prediction', 'costs'],
    }),
  ];
}

/** Calls of a classifier, whose folder is given, too. */
export function classifierCalls(classifier: dpm.Classifier, classifierFolder: string): PublicCall[] {
  return [
    of(
      'Classifier.load',
      async (path: never, options: never) => (await dpm.Classifier.load(path, options)).close(),
      [classifierFolder, { device: 'cpu', threads: 1 }],
      { 1: [...deviceOptions, 'config', 'signal'] },
    ),
    of('classifier.logits', (given: never, t: never) => classifier.logits(given, t), [new Float32Array(768), 1]),
    of('classifier.gradient', (given: never, t: never, labels: never) => classifier.gradient(given, t, labels), [
      new Float32Array(768),
      1,
      [3],
    ]),
  ];
}
