// Inputs are read at the call: whatever a caller does to them as soon as it has returned, the result is what it would have been.
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import * as dpm from '../../lib/index.js';
import { shownEvents } from '../support/read-events.js';
import { packagePath } from '../support/temporary.js';
import { normals, of, type SpoiledCase } from './calls/spoiled-case.js';
import { latentCases, openLatents, type LatentNetworks } from './calls/spoiled-latents.js';
import { tinyAutoencoder, tinyNetwork, tinyPipeline, tinyRun, writeTinyImages } from '../support/training-data.js';

const pixels = 28 * 28;
const folder = mkdtempSync(join(tmpdir(), 'spoiled-'));
const schedule = dpm.NoiseSchedule.linear({ steps: 100 });
let model: dpm.DiffusionModel;
let small: dpm.DiffusionModel;
let classifier: dpm.Classifier;
let latents: LatentNetworks;
let batcher: dpm.Batcher;
let scripted: dpm.Batcher;
let trainer: dpm.Trainer;

beforeAll(async () => {
  model = await dpm.DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
  classifier = await dpm.Classifier.load(packagePath('models/mnist-classifier'), { device: model.device });
  const place = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny');
  small = await dpm.DiffusionModel.load(place, { device: 'reference' });
  latents = await openLatents(model.device);
  batcher = await model.batcher({ rows: 2 });
  const evaluate = (x: Float32Array): Float32Array => x.map((value) => 0.5 * value);
  scripted = await dpm.createBatcher({ shape: [1, 2, 2], evaluate, schedule });
  trainer = await dpm.Trainer.open(tinyRun({ out: join(folder, 'run'), tensorboard: true }));
});
afterAll(async () => {
  const { vae, encoder, conditional, prior, pipeline } = latents;
  for (const each of [trainer, batcher, scripted, classifier, vae, encoder, conditional, prior, pipeline, small, model])
    await each.close();
});

/** Images of two grey levels. */
const images = (count: number): Float32Array => normals(count * pixels).map((value) => (value > 0 ? 1 : -1));

async function tensorOf(data: Float32Array): Promise<dpm.DeviceTensor> {
  const tensor = model.device.tensor([data.length / pixels, 1, 28, 28]);
  await tensor.write(data);
  return tensor;
}

type Spoil = (input: unknown) => void;

/**
 * Changes that a caller may make to an array, a list, a tensor or an object; objects of the library and functions stay.
 */
const spoils: Record<string, Spoil> = {
  'are changed': (input) => {
    if (ArrayBuffer.isView(input)) new Uint8Array(input.buffer).fill(0x3f);
    else if (Array.isArray(input)) input.fill(0);
  },
  'are detached or emptied': (input) => {
    if (ArrayBuffer.isView(input)) structuredClone(input.buffer, { transfer: [input.buffer as ArrayBuffer] });
    else if (Array.isArray(input)) input.length = 0;
  },
  'are freed, and lose what they have': (input) => {
    if (input instanceof dpm.DeviceTensor) input.free();
    else if (typeof input === 'object' && input !== null && Object.getPrototypeOf(input) === Object.prototype) {
      for (const name of Object.keys(input)) (input as Record<string, unknown>)[name] = undefined;
    }
  },
};

/** Lists everything that can be reached from an input, leaves first; compiled programs stay unchanged. */
function parts(input: unknown): unknown[] {
  if (input instanceof dpm.ImageBatch) return [input.data];
  if (typeof input === 'object' && input !== null && ('records' in input || 'run' in input)) return [];
  const isPlain =
    typeof input === 'object' &&
    input !== null &&
    Object.getPrototypeOf(input) === Object.prototype &&
    !Object.isFrozen(input);
  if (Array.isArray(input)) return [...input.flatMap(parts), input];
  return isPlain ? [...Object.values(input).flatMap(parts), input] : [input];
}

/** Numbers of a result, wherever they are. */
async function numbersOf(result: unknown): Promise<unknown> {
  if (result instanceof dpm.DeviceTensor) return Array.from(await result.read());
  if (result instanceof dpm.ImageBatch) return Array.from(result.data);
  if (ArrayBuffer.isView(result)) return Array.from(result as Float32Array);
  if (Array.isArray(result)) return Promise.all(result.map(numbersOf));
  if (result instanceof Map) return numbersOf([...result]);
  if (typeof result !== 'object' || result === null) return result;
  return Promise.all(Object.entries(result).map(async ([name, value]) => [name, await numbersOf(value)]));
}

/** Cases of every export that is given arrays, tensors or options and answers later. */
const cases: Record<string, SpoiledCase> = {
  'UNet.forward': of(
    (x, t, options) => model.unet.forward(x, t, options),
    () => [normals(2 * pixels), [5, 6], {}],
  ),
  'UNet.forward of a tensor': of(
    (x, t) => model.unet.forward(x, t),
    async () => [await tensorOf(normals(pixels)), [5]],
  ),
  'UNet.pullback': of(
    (x, t, options) => model.unet.pullback(x, t, options),
    () => [normals(2 * pixels), [5, 6], { cotangent: normals(2 * pixels, 2) }],
  ),
  'UNet.pullback of a tensor': of(
    (x, t, options) => model.unet.pullback(x, t, options),
    async () => [await tensorOf(normals(pixels)), [5], { cotangent: await tensorOf(normals(pixels, 2)) }],
  ),
  'UNet.pushforward': of(
    (x, t, options) => model.unet.pushforward(x, t, options),
    () => [normals(2 * pixels), [5, 6], { tangent: normals(2 * pixels, 2) }],
  ),
  'UNet.pushforward of a tensor': of(
    (x, t, options) => model.unet.pushforward(x, t, options),
    async () => [await tensorOf(normals(pixels)), [5], { tangent: await tensorOf(normals(pixels, 2)) }],
  ),
  'UNet.gradients': of(
    (x, t, options) => small.unet.gradients(x, t, options),
    () => [
      normals(2 * 3 * 8 * 8),
      [5, 6],
      { cotangent: normals(2 * 3 * 8 * 8, 2), classLabels: [1, 4], tensors: ['conv_in.weight'], image: true },
    ],
  ),
  ...latentCases(() => latents),
  'Classifier.logits': of(
    (x, t) => classifier.logits(x, t),
    () => [normals(2 * pixels), [5, 6]],
  ),
  'Classifier.gradient': of(
    (x, t, labels) => classifier.gradient(x, t, labels),
    () => [normals(2 * pixels), [5, 6], [1, 2]],
  ),
  'Classifier.guide': of(
    (options) => model.sample({ sampler: 'ddim', steps: 2, count: 2, guides: [classifier.guide(options)] }),
    () => [{ labels: [1, 2], scale: 2 }],
  ),
  'DiffusionModel.sample': of(
    (options) => model.sample(options),
    () => [
      {
        sampler: 'ddpm',
        timesteps: [800, 500, 100],
        count: 2,
        init: normals(2 * pixels),
        noise: normals(4 * pixels),
        guides: [(x: Float32Array) => x.map((value) => 0.1 * value)],
      },
    ],
  ),
  'DiffusionModel.stream': of(
    async (options) => {
      const found = [];
      for await (const { image } of model.stream(options)) found.push(image);
      return found;
    },
    () => [{ sampler: 'ddim', steps: 2, count: 2, init: normals(2 * pixels) }],
  ),
  'DiffusionModel.run': of(
    (programs, options) => model.run(programs, options),
    () => [[2, 3].map((steps) => dpm.samplers.ddim(model.schedule, { steps })), { init: normals(2 * pixels), seed: 3 }],
  ),
  runProgram: of(
    (program, options) => dpm.runProgram(program, options),
    () => [
      dpm.samplers.ddim(schedule, { steps: 3 }),
      { shape: [2, 4], init: normals(8), model: (x: Float32Array) => x.map((value) => 0.3 * value) },
    ],
  ),
  'runProgram of an adaptive program': of(
    (program, options) => dpm.runProgram(program, options),
    () => [
      dpm.samplers['dpm-solver-adaptive'](dpm.NoiseSchedule.vp(), {}),
      { shape: [2, 4], init: normals(8), model: (x: Float32Array) => x.map((value) => 0.3 * value) },
    ],
  ),
  update: of(
    async (record, registers, streams) => {
      const { x } = registers as { x: dpm.DeviceTensor };
      const keep = model.device.tensor([1, 1, 28, 28]);
      const done = dpm.update(record, { ...(registers as object), x: keep }, streams);
      return done.then(() => [keep, x.elements]);
    },
    async () => [
      dpm.stepRecord({ time: 1, x: dpm.linear({ y: 0.5 }), variance: { kind: 'scalar', deviation: 0.1 } }),
      { x: await tensorOf(normals(pixels)), y: await tensorOf(normals(pixels, 3)) },
      [{ seed: 1, sampleIndex: 0, record: 0, draw: 0 }],
    ],
  ),
  'DeviceTensor.write': of(
    async (data) => {
      const tensor = model.device.tensor([2, 2]);
      await tensor.write(data);
      return tensor;
    },
    () => [normals(4)],
  ),
  estimateGamma: of(
    (data, options) => dpm.estimateGamma(model, data, options),
    () => [images(3), { samples: 3, timesteps: [1, 500], batch: 1, seed: 4 }],
  ),
  estimateErrors: of(
    (data, options) => dpm.estimateErrors(model, data, options),
    () => [images(3), { samples: 3, timesteps: [1, 500], batch: 1, seed: 4 }],
  ),
  estimateLikelihood: of(
    (data, options) => dpm.estimateLikelihood(model, data, options),
    () => [images(3), { sampler: 'ddpm', steps: 2, batch: 1, seed: 4 }],
  ),
  flowLikelihood: of(
    (data, options) => dpm.flowLikelihood(model, data, options),
    () => [images(2), { batch: 1, seed: 4, atol: 0.1, rtol: 0.1, repeats: 2 }],
  ),
  translate: of(
    (sources, options) => dpm.translate(model, sources, options),
    () => [
      images(1),
      {
        start: 0.02,
        stride: 10,
        mask: images(1).map((value) => (value > 0 ? 1 : 0)),
        noise: { sources: normals(pixels), steps: [normals(2 * pixels, 2)] },
      },
    ],
  ),
  'Batcher.sample': of(
    (request) => batcher.sample(request),
    () => [{ sampler: 'ddim', steps: 3, count: 2, init: normals(2 * pixels), seed: 2 }],
  ),
  'DiffusionModel.batcher': of(
    async (options) => {
      await using own = await model.batcher(options);
      return [own.capacity.rows, (await own.sample({ sampler: 'ddim', steps: 2, seed: 1 })).images];
    },
    () => [{ rows: 3, slots: 5, sizes: 'one' }],
  ),
  'Batcher.run': of(
    (program, request) => batcher.run(program, request),
    () => [dpm.samplers.ddim(model.schedule, { steps: 3 }), { count: 2, init: normals(2 * pixels) }],
  ),
  'Batcher.forward': of(
    (x, t) => batcher.forward(x, t),
    () => [normals(2 * pixels), [5, 6]],
  ),
  'createBatcher: sample': of(
    (request) => scripted.sample(request),
    () => [{ sampler: 'ddim', steps: 3, count: 2, init: normals(8) }],
  ),
  writeSafetensors: of(
    async (tensors) => {
      await dpm.writeSafetensors(join(folder, 'a.safetensors'), tensors);
      return dpm.readFloats(await dpm.readSafetensorsHeader(join(folder, 'a.safetensors')), 'a');
    },
    () => [{ a: { shape: [4], data: normals(4) } }],
  ),
  writeGammaTable: of(
    async (table) => {
      await dpm.writeGammaTable(join(folder, 'gamma.json'), table);
      return readFileSync(join(folder, 'gamma.json'), 'utf8');
    },
    () => [{ schedule: 'linear', numTrainTimesteps: 2, imagesPerStep: 1, m: new Float64Array(3).fill(0.5) }],
  ),
  writeErrorTable: of(
    async (table) => {
      await dpm.writeErrorTable(join(folder, 'errors.json'), table);
      return readFileSync(join(folder, 'errors.json'), 'utf8');
    },
    () => [
      {
        schedule: 'linear',
        numTrainTimesteps: 2,
        imagesPerStep: 1,
        squaredError: new Float64Array(3).fill(0.5),
        decoder: new Float64Array(3).fill(0.25),
      },
    ],
  ),
  'Trainer.open': of(
    async (options) => {
      await using trainer = await dpm.Trainer.open(options);
      return [await trainer.run(), await trainer.tensors('parameters')].map((each) =>
        each instanceof Map ? each : each?.loss,
      );
    },
    () => [tinyRun({ network: JSON.parse(readFileSync(tinyNetwork, 'utf8')) as Record<string, unknown> })],
  ),
  'Trainer.open of captions': of(
    async (options) => {
      await using captioned = await dpm.Trainer.open(options);
      return [(await captioned.run())?.loss, await captioned.tensors('parameters')];
    },
    async () => {
      const latents = join(folder, 'autoencoder');
      if (!existsSync(latents)) {
        await using autoencoder = await dpm.Trainer.open(tinyRun({ network: tinyAutoencoder, out: latents }));
        await autoencoder.save();
      }
      const captions = Array.from({ length: 12 }, (_, i) => ['a cat', `a dog of ${i}`]);
      return [tinyRun({ captions, latents, network: structuredClone(tinyPipeline) })];
    },
  ),
  'Trainer.addImages': of(
    async (tag, batch) => {
      await trainer.addImages(tag, batch);
      return shownEvents(join(folder, 'run')).at(-1)?.values;
    },
    () => ['samples', new dpm.ImageBatch(images(2), [2, 1, 28, 28])],
  ),
  openImages: of(
    (path, options) => dpm.openImages(path, options),
    async () => {
      const path = await writeTinyImages(join(folder, 'training.safetensors'));
      return [path, { shape: [3, 8, 8], labels: false }];
    },
  ),
  'openImages of Parquet': of(
    (path, options) => dpm.openImages(path, options),
    () => [packagePath('test/fixtures/parquet/snappy.parquet'), { shape: [3, 4, 4], resize: true, labels: false }],
  ),
  'ImageBatch.load': of(
    (path, like) => dpm.ImageBatch.load(path, like),
    async () => {
      await new dpm.ImageBatch(images(2), [2, 1, 28, 28]).save(join(folder, 'pictures'));
      return [join(folder, 'pictures'), { sampleShape: [1, 28, 28], range: [0, 1] }];
    },
  ),
  'ImageBatch.save': of(
    async (batch, options) => {
      await (batch as dpm.ImageBatch).save(join(folder, 'images.png'), options);
      return readFileSync(join(folder, 'images.png'));
    },
    () => [new dpm.ImageBatch(images(2), [2, 1, 28, 28]), { columns: 1, scale: 2 }],
  ),
};

describe.each(Object.keys(spoils))('inputs that %s after the call', (name) => {
  it.each(Object.keys(cases))('of %s', async (which) => {
    const { inputs, call } = cases[which]!;
    const wanted = await numbersOf(await call(...((await inputs()) as never[])));
    const given = await inputs();
    const all = parts(given.slice());
    const pending = call(...(given as never[]));
    all.forEach(spoils[name]!);
    expect(await numbersOf(await pending)).toEqual(wanted);
  });
});

/** Functions and methods that answer later, as they are exported. */
function exportedAsync(): string[] {
  const isAsync = (value: unknown): boolean =>
    (value as { constructor: { name: string } }).constructor.name.startsWith('Async');
  const methods = (name: string, holder: object): string[] =>
    Object.entries(Object.getOwnPropertyDescriptors(holder))
      .filter(([, { value }]) => typeof value === 'function' && isAsync(value))
      .map(([method]) => `${name}.${method}`);
  return Object.entries(dpm).flatMap(([name, value]) => {
    if (typeof value !== 'function') return [];
    const prototype: unknown = value.prototype;
    const ofClass = typeof prototype === 'object' && prototype !== null ? methods(name, prototype) : [];
    return [...(isAsync(value) ? [name] : []), ...methods(name, value), ...ofClass];
  });
}

/** Exports that take only paths, numbers and texts, or whose inputs belong to their result. */
const withoutInputs =
  /\.(load|open|close|drain|trim|release|releasePrompts|read|derivative|features|network|labelScore)$|^read|^connectBatcher$|^ClipTokenizer\.(clip|padded)$|^Trainer\.(step|run|save|model|classifier|autoencoder|pipeline|reconstructions|tensors)$/;

it('is tried of every export that answers later', () => {
  const tried = new Set(Object.keys(cases).map((name) => name.split(/[ :]/)[0]));
  const exported = exportedAsync();
  expect(exported.length).toBeGreaterThan(30);
  expect(exported.filter((name) => !tried.has(name) && !withoutInputs.test(name))).toEqual([]);
});
