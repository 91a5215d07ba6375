// Densities by the probability flow against closed forms, and against another engine in float64.
import { readFileSync } from 'node:fs';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { standardsOf } from '../../../lib/base/option-facts.js';
import { Device, type DeviceTensor } from '../../../lib/engine/device.js';
import { signDraw, signs, uniforms } from '../../../lib/estimation/flow/draws.js';
import {
  flowLikelihood,
  flowLikelihoodOptionFacts,
  type FlowLikelihoodOptions,
} from '../../../lib/estimation/flow/flow-likelihood.js';
import { solveFlow, type FlowDensities } from '../../../lib/estimation/flow/solve-flow.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { DeviceHostContext } from '../../../lib/run/device-context.js';
import type { Evaluator } from '../../../lib/run/evaluator.js';
import { NetworkEvaluator } from '../../../lib/run/network-evaluator.js';
import { AdaptiveFlow } from '../../../lib/samplers/numerics/adaptive-flow.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { noisePrediction, type Mixture } from '../../support/full-mixture.js';
import { packagePath } from '../../support/temporary.js';

const fixture = (name: string): string => packagePath(`test/fixtures/gradients/flow/${name}`);
const json = (name: string): unknown => JSON.parse(readFileSync(fixture(name), 'utf8'));

/** Densities of states, [batch, …] of this shape, along probes. */
async function densities(
  device: Device,
  evaluator: Evaluator,
  schedule: NoiseSchedule,
  states: { x: Float32Array; probe: Float32Array; shape: readonly number[] },
  control = { atol: 1e-6, rtol: 1e-6, shared: false },
  [from, to] = [1e-5, 1],
): Promise<FlowDensities & { z: Float32Array }> {
  const x = device.tensor(states.shape);
  await x.write(states.x);
  const options = { seed: 0, firstSample: 0, noise: null, signal: undefined, onProgress: undefined };
  const context = new DeviceHostContext({ ...options, evaluator, x });
  await context.write('probe', states.probe);
  const found = await solveFlow(context, { schedule, from, to, control }, 'probe');
  return { ...found, z: await x.read() };
}

interface ClosedForm extends Mixture {
  x: number[][];
  z: number[][];
  logp: number[];
}

/** Output of a perfect network of a mixture for a state at a time, and its derivative along v. */
type Perfect = (time: number, x: number[], v: number[]) => { noise: number[]; derivative: number[] };

const ofVariancePreserving =
  (mixture: Mixture, schedule: NoiseSchedule): Perfect =>
  (time, x, v) =>
    noisePrediction(mixture, schedule.alphaBar(time), x, v);

/** Its score where the time is the deviation of the noise: the state is another's, scaled. */
const ofNoiseOnly =
  (mixture: Mixture): Perfect =>
  (sigma, x, v) => {
    const alpha = 1 / Math.sqrt(1 + sigma ** 2);
    const scaled = (values: number[]): number[] => values.map((value) => alpha * value);
    const found = noisePrediction(mixture, alpha ** 2, scaled(x), scaled(v));
    const score = (values: number[]): number[] => values.map((value) => -value / sigma);
    return { noise: score(found.noise), derivative: score(found.derivative) };
  };

/** Makes an evaluator of such a network, which gets the time itself. */
function perfect(predict: Perfect): Evaluator {
  return {
    evaluate: () => Promise.reject(new Error('a likelihood needs derivatives')),
    async pushForward(
      input: DeviceTensor,
      times: Float32Array,
      tangent: DeviceTensor,
      output: DeviceTensor,
      outputTangent: DeviceTensor,
    ) {
      const [x, v] = [await input.read(), await tangent.read()];
      const [eps, along] = [new Float32Array(x.length), new Float32Array(x.length)];
      const d = x.length / times.length;
      times.forEach((time, n) => {
        const part = (values: Float32Array): number[] => [...values.subarray(n * d, (n + 1) * d)];
        const found = predict(time, part(x), part(v));
        eps.set(found.noise, n * d);
        along.set(found.derivative, n * d);
      });
      await output.write(eps);
      await outputTangent.write(along);
    },
  };
}

describe('the probability flow', () => {
  const forms = json('closed-forms.json') as Record<string, ClosedForm>;

  it.each(['gaussian', 'mixture'])('gives the density of a %s', async (name) => {
    const form = forms[name]!;
    const schedule = NoiseSchedule.vp({ networkTime: (time) => time });
    // Over all signs the probes' divergences have the trace as their mean.
    const probes = Array.from({ length: 16 }, (_, k) => [0, 1, 2, 3].map((i) => ((k >> i) & 1 ? 1 : -1)));
    await using device = Device.open({ device: 'cpu', threads: 1 });
    for (const [k, x] of form.x.entries()) {
      const states = {
        x: Float32Array.from(probes.flatMap(() => x)),
        probe: Float32Array.from(probes.flat()),
        shape: [16, 4, 1, 1],
      };
      const { logDensity, z } = await densities(
        device,
        perfect(ofVariancePreserving(form, schedule)),
        schedule,
        states,
      );
      const mean = logDensity.reduce((sum, each) => sum + each, 0) / probes.length;
      // States are float32, and the first have a noise of 1e-3.
      expect(Math.abs(mean - form.logp[k]!)).toBeLessThan(2e-3);
      form.z[k]!.forEach((value, i) => {
        expect(Math.abs(z[i]! - value)).toBeLessThan(2e-3);
      });
    }
  });

  it('gives the density of a Gaussian where there is noise alone', async () => {
    const [deviations, means] = [
      [0.5, 1.5, 0.2],
      [0.3, -1, 0],
    ];
    const gaussian: Mixture = {
      weights: [1],
      means: [means],
      covariances: [deviations.map((own, i) => deviations.map((_, j) => (i === j ? own ** 2 : 0)))],
    };
    const [sigmaMin, sigmaMax] = [0.01, 50];
    const schedule = NoiseSchedule.ve({ sigmaMin, sigmaMax });
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const x = [0.7, -2, 0.1];
    const states = { x: Float32Array.from(x), probe: Float32Array.from([1, -1, 1]), shape: [1, 3, 1, 1] };
    const control = { atol: 1e-6, rtol: 1e-6, shared: false };
    const evaluator = perfect(ofNoiseOnly(gaussian));
    const found = await densities(device, evaluator, schedule, states, control, [sigmaMin, sigmaMax]);
    // The flow of a Gaussian scales every axis; with a diagonal Jacobian each probe gives the trace.
    let expected = 0;
    deviations.forEach((own, i) => {
      const scale = Math.sqrt((own ** 2 + sigmaMax ** 2) / (own ** 2 + sigmaMin ** 2));
      const z = means[i]! + scale * (x[i]! - means[i]!);
      expect(Math.abs(found.z[i]! - z)).toBeLessThan(2e-3 * scale);
      expected += Math.log(scale) - 0.5 * (Math.log(2 * Math.PI * sigmaMax ** 2) + (z / sigmaMax) ** 2);
    });
    expect(Math.abs(found.logDensity[0]! - expected)).toBeLessThan(2e-3);
  });

  it('asks a network for no time before its first', async () => {
    const gaussian: Mixture = { weights: [1], means: [[0]], covariances: [[[1]]] };
    const schedule = NoiseSchedule.vp({ networkTime: (time) => time });
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const asked: number[] = [];
    const evaluator = perfect((time, x, v) => {
      asked.push(time);
      return noisePrediction(gaussian, 0.5, x, v);
    });
    const states = { x: Float32Array.of(0.5), probe: Float32Array.of(1), shape: [1, 1, 1, 1] };
    const control = { atol: 1e-2, rtol: 1e-2, shared: false };
    await densities(device, evaluator, schedule, states, control, [schedule.cleanest / 100, schedule.greatestTime]);
    expect(Math.min(...asked)).toBe(Math.fround(schedule.cleanest));
  });

  interface Golden {
    samples: [{ logp: number; nfe: number }, ...unknown[]];
    batch: { logp: number[]; nfe: number };
  }

  it('gives the densities of digits that another engine gives', async () => {
    const golden = json('mnist.json') as Golden;
    const header = await readSafetensorsHeader(fixture('mnist.safetensors'));
    const [x, probe] = await Promise.all(['x', 'probe'].map(async (name) => (await readFloats(header, name)).data));
    const schedule = NoiseSchedule.vp({ networkTime: (time) => Math.max(0, 1000 * time - 1) });
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', schedule, exact: true });
    const evaluator = new NetworkEvaluator(model.unet, null);
    const tolerances = { atol: 1e-5, rtol: 1e-5 };
    const elements = 28 * 28;
    const unit = elements * Math.LN2;
    const states = { x: x!, probe: probe!, shape: [2, 1, 28, 28] };
    const shared = await densities(model.device, evaluator, schedule, states, { ...tolerances, shared: true });
    golden.batch.logp.forEach((logp, n) => {
      expect(Math.abs(shared.logDensity[n]! - logp) / unit).toBeLessThan(2e-3);
    });
    expect(Math.abs(shared.evaluations / golden.batch.nfe - 1)).toBeLessThan(0.1);
    const [{ logp, nfe }] = golden.samples;
    const one = { x: x!.slice(0, elements), probe: probe!.slice(0, elements), shape: [1, 1, 28, 28] };
    const own = await densities(model.device, evaluator, schedule, one, { ...tolerances, shared: false });
    expect(Math.abs(own.logDensity[0]! - logp) / unit).toBeLessThan(2e-3);
    expect(Math.abs(own.evaluations / nfe - 1)).toBeLessThan(0.1);
  });
});

describe('what probes and dequantisation draw', () => {
  interface Draw {
    seed: string;
    step: number;
    slot: number;
    signs: number[];
    uniforms: number[];
  }

  it.each(json('draws.json') as Draw[])('is that of seed $seed, $step, $slot', (draw) => {
    const place = { seed: BigInt(draw.seed), repeat: draw.step, image: draw.slot };
    expect([...signs(place, draw.signs.length)]).toEqual(draw.signs);
    expect([...uniforms(place, draw.uniforms.length)]).toEqual(draw.uniforms);
  });
});

describe('flowLikelihood', () => {
  const digits = async (model: DiffusionModel, count: number): Promise<Float32Array> => {
    const { images } = await model.sample({ sampler: 'ddim', steps: 10, count, seed: 4 });
    return Float32Array.from(images.toUint8(), (level) => (2 * level) / 255 - 1);
  };
  const quick = { atol: 3e-2, rtol: 3e-2, tEnd: 0.005 } satisfies FlowLikelihoodOptions;

  it('does not depend on the batch, and says how sure it is', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', exact: true });
    const images = await digits(model, 2);
    const alone = await flowLikelihood(model, images, { ...quick, batch: 1, repeats: 2 });
    const together = await flowLikelihood(model, images, { ...quick, batch: 2, repeats: 2 });
    expect(together.bits).toEqual(alone.bits);
    // One image that takes part in no batch has its own, on average.
    expect(alone.evaluations).toBeLessThanOrEqual(together.evaluations);
    expect(together.evaluations).toBeLessThan(2 * alone.evaluations);
    const { total, probeError, images: count, dimensions } = together;
    expect({ count, dimensions }).toEqual({ count: 2, dimensions: 784 });
    const mean = together.bits.reduce((sum, each) => sum + each, 0) / 2;
    expect(total.bits).toBeCloseTo(mean, 10);
    expect(total.standardError).toBeGreaterThan(0);
    expect(probeError).toBeGreaterThan(0);
    expect((await flowLikelihood(model, images, { ...quick, samples: 1 })).probeError).toBeNaN();
    const progress: number[] = [];
    const one = { ...quick, samples: 1, repeats: 2, onProgress: (done: number) => progress.push(done) };
    await flowLikelihood(model, images, one);
    expect(progress.at(-1)).toBe(200);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
  });

  it('has the defaults of the facts', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', exact: true });
    const images = await digits(model, 1);
    // A short way, as the default tolerances are tight.
    const way = { tEnd: 0.005, tStart: 0.02 };
    const { repeats, probe, atol, rtol, batchNorm, seed, batch } = standardsOf(flowLikelihoodOptionFacts);
    const facts = { repeats, probe, atol, rtol, batchNorm, seed, batch };
    const unsaid = await flowLikelihood(model, images, way);
    expect(await flowLikelihood(model, images, { ...way, ...facts })).toEqual(unsaid);
    for (const other of [
      { atol: 1e-2, rtol },
      { rtol: 1e-2, atol },
      { repeats: repeats + 1 },
      { probe: 'gaussian' },
    ] as const) {
      expect((await flowLikelihood(model, images, { ...way, ...other })).total.bits).not.toBe(unsaid.total.bits);
    }
  });

  it('takes other probes, seeds, tolerances and norms', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', exact: true });
    const images = await digits(model, 2);
    const bitsOf = async (options: FlowLikelihoodOptions): Promise<number> =>
      (await flowLikelihood(model, images, { ...quick, ...options })).total.bits;
    const standard = await bitsOf({});
    for (const other of [
      { probe: 'gaussian' },
      { seed: 1 },
      { rtol: 1e-3 },
      { atol: 1e-3 },
      { batchNorm: 'reference' },
      { tEnd: 0.006 },
      { tStart: 0.9 },
    ] satisfies FlowLikelihoodOptions[]) {
      const bits = await bitsOf(other);
      expect(bits, JSON.stringify(other)).not.toBe(standard);
      expect(Math.abs(bits - standard), JSON.stringify(other)).toBeLessThan(0.5);
    }
  });

  it('takes each tolerance for its own', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', exact: true });
    const images = await digits(model, 1);
    const running = vi.spyOn(AdaptiveFlow.prototype, 'run');
    onTestFinished(() => {
      running.mockRestore();
    });
    await flowLikelihood(model, images, { ...quick, atol: 0.2, rtol: 0.1 });
    expect(running.mock.contexts).toMatchObject([{ control: { atol: 0.2, rtol: 0.1, shared: false } }]);
  });

  it('draws the probes of every repeat anew', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', exact: true });
    const images = await digits(model, 1);
    const drawing = vi.spyOn(model.device.engine, 'update');
    await flowLikelihood(model, images, { ...quick, probe: 'gaussian', repeats: 2 });
    const streams = drawing.mock.calls
      .map(([, , , , words]) => [...words])
      .filter(([, , , , draw]) => draw === signDraw);
    // Seed, image, repeat.
    expect(streams).toEqual([
      [0, 0, 0, 0, signDraw],
      [0, 0, 0, 1, signDraw],
    ]);
  });

  it('takes its options as they are at the call', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', exact: true });
    const images = await digits(model, 2);
    const asked: FlowLikelihoodOptions = { ...quick, batch: 1, seed: 3 };
    const running = flowLikelihood(model, images, asked);
    Object.assign(asked, { seed: 4, probe: 'gaussian' });
    expect((await running).bits).toEqual((await flowLikelihood(model, images, { ...quick, seed: 3 })).bits);
  });

  it.each([
    [{ probe: 'sobol' }, 'probe'],
    [{ batchNorm: 'all' }, 'batchNorm'],
    [{ atol: 0 }, 'atol'],
    [{ rtol: NaN }, 'rtol'],
    [{ repeats: 0 }, 'repeats'],
    [{ batch: 0 }, 'batch'],
    [{ samples: 9 }, 'samples'],
    [{ tEnd: 0 }, 'tEnd'],
    [{ steps: 10 }, 'steps'],
  ])('refuses %o', async (options, name) => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const images = new Float32Array(784).fill(-1);
    await expect(flowLikelihood(model, images, options as never)).rejects.toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringContaining(name) as string,
    });
  });

  it('refuses images off the grid, and ends when it is aborted', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const images = new Float32Array(784).fill(0.123);
    await expect(flowLikelihood(model, images)).rejects.toThrow('image 0');
    const three = new Float32Array(3 * 784).fill(-1).fill(0.123, 2 * 784, 2 * 784 + 1);
    for (const seed of [0, 1, 2, 3]) await expect(flowLikelihood(model, three, { seed })).rejects.toThrow('image 2');
    const controller = new AbortController();
    const running = flowLikelihood(model, images.fill(-1), {
      signal: controller.signal,
      onProgress: () => {
        controller.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });
});
