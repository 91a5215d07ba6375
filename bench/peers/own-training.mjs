// Steps of training by dpm-native, behind lines of JSON as serve.py has them; training.py is the same in PyTorch.
import { readFileSync } from 'node:fs';

import { elementCount } from '../../dist/base/arrays.js';
import { loadableNetwork } from '../../dist/checkpoint/model-folder.js';
import { readModelFolder } from '../../dist/checkpoint/read-model.js';
import { Device } from '../../dist/index.js';
import { answerLines } from '../gpu/answer-lines.mjs';
import { timeCalls } from './rounds.mjs';

function readSamples({ images, noise, levels, shape }) {
  const [batches, batch, ...image] = shape;
  const read = (Type, file, length) => {
    const values = new Type(Uint8Array.from(readFileSync(file)).buffer);
    return (index) => values.subarray(index * length, (index + 1) * length);
  };
  const length = batch * elementCount(image);
  const [imagesOf, noiseOf] = [read(Float32Array, images, length), read(Float32Array, noise, length)];
  const levelsOf = read(Uint32Array, levels, batch);
  return Array.from({ length: batches }, (_, index) => ({
    images: imagesOf(index),
    noise: noiseOf(index),
    levels: levelsOf(index),
    labels: null,
  }));
}

async function loadTrainer(device, { model, schedule, settings, samples }) {
  const { unet, graph } = await loadableNetwork(await readModelFolder(model), null);
  const { clip, beta1, beta2, epsilon } = settings;
  return device.engine.loadTrainer(graph, {
    classes: unet.classes,
    divisor: null,
    images: null,
    labels: null,
    cropMargin: 0,
    flips: false,
    levelSampling: 'uniform',
    loss: 'prediction',
    levels: {
      images: Float64Array.from(schedule.signal, Math.sqrt),
      noises: Float64Array.from(schedule.noise, Math.sqrt),
      dataTargets: new Float64Array(schedule.signal.length),
      noiseTargets: new Float64Array(schedule.signal.length).fill(1),
      weights: new Float64Array(schedule.signal.length).fill(1),
      times: Float32Array.from(schedule.times),
    },
    batch: samples.shape[1],
    accumulate: 1,
    clip,
    beta1,
    beta2,
    epsilon,
    decay: 0,
    seed: new Uint32Array(2),
    labelDropout: 0,
    nullLabel: -1,
  });
}

class Training {
  #step = 0;

  constructor(device, trainer, batches, { rate, averageDecay }) {
    this.version = `dpm-native, ${device.description}`;
    this.device = device;
    this.trainer = trainer;
    this.batches = batches;
    this.rates = Float64Array.of(rate);
    this.averageDecays = Float64Array.of(averageDecay);
  }

  async close() {
    await this.trainer.close();
    await this.device.close();
  }

  static async open({ threads, ...request }) {
    const device = Device.open({ device: 'cpu', threads });
    return new Training(device, await loadTrainer(device, request), readSamples(request.samples), request.settings);
  }

  async run() {
    const step = this.#step++;
    const { losses, norms } = await this.trainer.run({
      firstStep: step,
      rates: this.rates,
      averageDecays: this.averageDecays,
      samples: this.batches[step % this.batches.length],
      cancel: null,
      onProgress: null,
      progressMilliseconds: 0,
    });
    return [losses[0], norms[0]];
  }

  async learn(steps) {
    const done = [];
    while (done.length < steps) done.push(await this.run());
    return { losses: done.map(([loss]) => loss), norms: done.map(([, norm]) => norm) };
  }

  async distance() {
    const [parameters, average] = [await this.trainer.read('parameters'), await this.trainer.read('average')];
    return { distance: Math.sqrt(parameters.reduce((sum, value, i) => sum + (value - average[i]) ** 2, 0)) };
  }
}

let training = null;

const operations = {
  async open(request) {
    training = await Training.open(request);
    return { version: training.version };
  },
  learn: ({ steps }) => training.learn(steps),
  distance: () => training.distance(),
  time: async ({ calls }) => ({ milliseconds: await timeCalls(() => training.run(), calls) }),
};

await answerLines(operations);
await training?.close();
