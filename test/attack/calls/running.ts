// Calls that run something: on a device, a model of JavaScript or the bundled network.
import * as dpm from '../../../lib/index.js';
import type { PublicCall } from '../attack.js';
import { of } from './of.js';

const schedule = dpm.NoiseSchedule.linear({ steps: 100 });
const record = dpm.stepRecord({ time: 1, x: dpm.linear({ x: 0.5, out: 0.1 }) });
const program = dpm.samplers.ddim(schedule, { steps: 2 });
const model = (x: Float32Array): Float32Array => x;
const pixels = 28 * 28;

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
  const guided =
    (options: (answer: never) => object) =>
    (answer: never): Promise<unknown> =>
      loaded.sample({ sampler: 'ddim', steps: 1, ...options(answer) });
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
    of('Device.open', async (options: never) => dpm.Device.open(options).close(), [{ device: 'cpu' }]),
    of(
      'Device.tensor',
      (shape: never) => {
        device.tensor(shape).free();
      },
      [[1, 4]],
    ),
    of('DeviceTensor.write', (values: never) => x.write(values), [new Float32Array(4)]),
    of('DeviceTensor.read', (into: never) => x.read(into), [new Float32Array(4)]),
    of('update', dpm.update, [{ ...record }, { x, out: x }, [{ seed: 1, sampleIndex: 0, record: 0, draw: 0 }]]),
    of('update: a stream', (stream: never) => dpm.update(record, { x, out: x }, [stream]), [
      { seed: 1, sampleIndex: 0, record: 0, draw: 0 },
    ]),
    of('update: records', (records: never) => dpm.update(records, { x, out: x }), [[record]]),
    of(
      'DiffusionModel.load',
      async (path: never, options: never) => (await dpm.DiffusionModel.load(path, options)).close(),
      ['mnist', { device: 'cpu', threads: 1 }],
    ),
    of('DiffusionModel.sample', (options: never) => loaded.sample(options), [{ sampler: 'ddim', steps: 2 }]),
    of(
      'DiffusionModel.stream',
      async (options: never) => {
        for await (const _ of loaded.stream(options)) break;
      },
      [{ sampler: 'ddim', steps: 2 }],
    ),
    of('DiffusionModel.run', (given: never, options: never) => loaded.run(given, options), [{ ...own }, {}]),
    of('DiffusionModel.run: several', (given: never) => loaded.run([own, given]), [{ ...own }]),
    of('UNet.forward', (given: never, t: never, options: never) => loaded.unet.forward(given, t, options), [
      new Float32Array(pixels),
      1,
      {},
    ]),
    of('runProgram', dpm.runProgram, [{ ...program }, { shape: [1, 4], model }]),
    of('runProgram: a host program', dpm.runProgram, [{ ...host }, { shape: [1, 4], model }]),
    of(
      'runProgram: what a model returns',
      (answer: never) => dpm.runProgram(program, { shape: [1, 784], model: () => answer }),
      [{ out: new Float32Array(784) }],
      { 0: ['head'] },
    ),
    of(
      'runProgram: what correct returns',
      (answer: never) => dpm.runProgram(program, { shape: [1, 784], model, correct: () => answer }),
      [new Float32Array(784)],
    ),
    of(
      'runProgram: what onProgress returns',
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
      'context.linearCombination: a term',
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
    of('estimateGamma', dpm.estimateGamma, [loaded, data, { samples: 1, timesteps: [1] }]),
    of('estimateGamma: a script', dpm.estimateGamma, [
      { ...scripted },
      new Float32Array(4),
      { samples: 1, timesteps: [1] },
    ]),
    of('estimateErrors', dpm.estimateErrors, [loaded, data, { samples: 1, timesteps: [1] }]),
    of('estimateLikelihood', dpm.estimateLikelihood, [loaded, data, { sampler: 'ddpm', steps: 2, samples: 1 }]),
    of('flowLikelihood', dpm.flowLikelihood, [
      loaded,
      data.subarray(0, pixels),
      { tStart: 0.01, tEnd: 0.005, atol: 1, rtol: 1 },
    ]),
    of('DiffusionModel.program', (options: never) => loaded.program(options), [{ sampler: 'ddim', steps: 2 }]),
    of(
      'DiffusionModel.sample: what a guide returns',
      guided((answer) => ({ guides: [() => answer] })),
      [new Float32Array(pixels)],
    ),
    of(
      'DiffusionModel.sample: what constrain returns',
      guided((answer) => ({ constrain: () => answer })),
      [new Float32Array(pixels)],
    ),
    of('UNet.pullback', (given: never, t: never, options: never) => loaded.unet.pullback(given, t, options), [
      new Float32Array(pixels),
      1,
      { cotangent: new Float32Array(pixels) },
    ]),
    of('UNet.pushforward', (given: never, t: never, options: never) => loaded.unet.pushforward(given, t, options), [
      new Float32Array(pixels),
      1,
      { tangent: new Float32Array(pixels) },
    ]),
    of('UNet.labels', (labels: never, batch: never) => loaded.unet.labels(labels, batch), [undefined, 1]),
    of('translate', dpm.translate, [loaded, data.subarray(0, pixels), { start: 0.01, stride: 10 }]),
    of(
      'translate: its noise',
      (noise: never) => dpm.translate(loaded, data.subarray(0, pixels), { start: 0.01, stride: 10, noise }),
      [{ sources: new Float32Array(pixels), steps: [new Float32Array(pixels)] }],
    ),
    of('Device.memory', () => device.memory(), []),
    of('Device.statistics', () => device.statistics(), []),
    of('Device.trim', () => device.trim(), []),
    of(
      'DeviceTensor.free',
      () => {
        device.tensor([1]).free();
      },
      [],
    ),
    of('DiffusionModel.memory', () => loaded.memory(), []),
    of('DiffusionModel.digest', () => loaded.digest(), []),
  ];
}
