// Variance heads that learn on a pipeline which stays as it is, and the samplers that read them.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it, vi } from 'vitest';

import { unetLayerNames } from '../../../lib/checkpoint/pipelines/lora/layer-names.js';
import { readConditional } from '../../../lib/checkpoint/pipelines/conditional.js';
import { readJson } from '../../../lib/files/files.js';
import {
  Autoencoder,
  ConditionalUNet,
  samplers,
  TextToImage,
  Trainer,
  type OpenedImages,
  type TrainerOptions,
} from '../../../lib/index.js';
import { promptedHead } from '../../../lib/latents/prompted-head.js';
import { predictWithHead } from '../../../lib/latents/conditional-unet.js';
import { fileTensors, writeFileTensors } from '../../support/file-tensors.js';
import { failure } from '../../support/failure.js';
import { pathsIn, temporaryFolder } from '../../support/temporary.js';
import { readTensors } from '../../support/tensors.js';
import { tinyAutoencoder, tinyImages, tinyPipeline, tinyRun } from '../../support/training-data.js';
import { trained } from '../../support/training-runs.js';

const newFolder = pathsIn(temporaryFolder());
const cpu = { device: 'cpu', threads: 1 } as const;
const data: OpenedImages = { ...tinyImages(6), labels: null };
const captions = ['a red cat', 'a blue dog', 'a red dog', 'blue', 'cats', 'a cat on red'];

const UNET = 'unet/diffusion_pytorch_model.safetensors';
const TEXT = 'text_encoder/model.safetensors';
const HEADS = 'unet/heads/config.json';
const NPR = 'unet/heads/npr.safetensors';

/** A pipeline that predicts v, and one of the noise, which have no heads. */
let pipelines: { v: string; epsilon: string };
beforeAll(async () => {
  const latents = newFolder();
  await trained(tinyRun({ data, network: tinyAutoencoder, out: latents, steps: 3 }));
  const made = async (prediction: 'v' | 'epsilon'): Promise<string> => {
    const out = newFolder();
    const options = { data, captions, latents, network: tinyPipeline, prediction, out, steps: 4, batch: 2 };
    await trained(tinyRun({ ...options, rate: 1e-2 }));
    if (prediction === 'epsilon') return out;
    await writeFile(join(out, 'generation_config.json'), JSON.stringify({ num_inference_steps: 3 }));
    const table = { num_train_timesteps: 1000, m: Array<number>(1001).fill(0.5), schedule: 'any', images_per_step: 1 };
    await writeFile(join(out, 'gamma.json'), JSON.stringify(table));
    return out;
  };
  pipelines = { v: await made('v'), epsilon: await made('epsilon') };
});

const headRun = (changed: Partial<TrainerOptions> = {}): TrainerOptions =>
  tinyRun({ data, captions, network: pipelines.v, head: 'npr', steps: 3, batch: 2, rate: 1e-3, ...changed });

describe('a head that learns on a pipeline', () => {
  it('is written beside networks that stay, with what else the pipeline has', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(headRun({ out }));
    await trainer.run();
    for (const path of [UNET, TEXT]) {
      expect(await readTensors(join(out, path)), path).toEqual(await readTensors(join(pipelines.v, path)));
    }
    for (const path of [
      'gamma.json',
      'generation_config.json',
      'model_index.json',
      'scheduler/scheduler_config.json',
      'vae/config.json',
    ]) {
      expect(await readFile(join(out, path), 'utf8'), path).toBe(await readFile(join(pipelines.v, path), 'utf8'));
    }
    expect(await readJson(join(out, HEADS))).toEqual({
      heads: { npr: 'npr.safetensors' },
      mode: 'simple',
      out_channels: 2,
      norm_num_groups: 8,
      norm_eps: 1e-5,
      prediction_type: 'v_prediction',
    });
    const learned = await readTensors(join(out, NPR));
    expect(Object.keys(learned).toSorted()).toEqual(
      ['conv_out.bias', 'conv_out.weight', 'norm_out.bias', 'norm_out.weight'].toSorted(),
    );
    expect(trainer.parameters).toBe(Object.values(learned).reduce((sum, { length }) => sum + length, 0));
    await using pipeline = await trainer.pipeline();
    expect(pipeline.unet.heads).toEqual(['npr']);
    const call = { prompt: 'a cat', steps: 4, seed: 1, output: 'latents' } as const;
    const byHead = await pipeline.generate({ ...call, sampler: 'npr-ddpm' });
    await using batcher = await pipeline.batcher({ rows: 2 });
    const requests = (['npr-ddpm', 'ddpm'] as const).map((sampler) => batcher.generate({ ...call, sampler }));
    const [shared, plain] = await Promise.all(requests);
    expect(shared!.latents).toEqual(byHead.latents);
    expect(plain!.latents).not.toEqual(byHead.latents);
    expect(byHead.latents).not.toEqual((await pipeline.generate({ ...call, sampler: 'ddpm' })).latents);
    // Without the head a pipeline draws what it drew before it had one.
    await using before = await TextToImage.load(pipelines.v, cpu);
    expect((await pipeline.generate(call)).latents).toEqual((await before.generate(call)).latents);
  });

  it('goes on from its weights where the pipeline has it, beside other heads', async () => {
    const [first, second, third] = [newFolder(), newFolder(), newFolder()];
    const network = pipelines.epsilon;
    await trained(headRun({ network, out: first, headMode: 'complex' }));
    await trained(headRun({ network: first, out: second, head: 'sn' }));
    expect(await readJson(join(second, HEADS))).toMatchObject({
      mode: 'complex',
      heads: { npr: 'npr.safetensors', sn: 'sn.safetensors' },
    });
    expect(await readJson(join(second, HEADS))).not.toHaveProperty('prediction_type');
    expect(await readFile(join(second, NPR))).toEqual(await readFile(join(first, NPR)));
    await trained(headRun({ network: second, out: third, rate: 0, averageDecay: 0, steps: 1 }));
    expect(await readTensors(join(third, NPR))).toEqual(await readTensors(join(first, NPR)));
    const error = await failure(Trainer.open(headRun({ network: second, headMode: 'simple' })));
    expect(error.message).toMatch(/headMode is simple, the heads of .* are complex/);
  });

  it('goes on to the bit', async () => {
    const [whole, parts] = [newFolder(), newFolder()];
    await trained(headRun({ out: whole, steps: 4 }));
    {
      await using begun = await Trainer.open(headRun({ out: parts, steps: 4 }));
      for (let step = 0; step < 2; ++step) await begun.step();
    }
    await trained(headRun({ out: parts, steps: 4 }));
    expect(await readFile(join(parts, NPR))).toEqual(await readFile(join(whole, NPR)));
  });

  it('expects the squared error of v', { timeout: 60_000 }, async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(headRun({ out, steps: 500, batch: 6, rate: 3e-3, captionDropout: 0 }));
    await trainer.run();
    await using pipeline = await trainer.pipeline();
    const { unet, vae, schedule } = pipeline;
    const values = Float32Array.from(data.images, (level) => (2 * level) / 255 - 1);
    const latents = vae.toDiffusion((await vae.encode(values, { height: 8, width: 8 })).mean);
    const texts = await Promise.all(captions.map((text) => pipeline.encodePrompt(text)));
    const context = await unet.prepare(
      Float32Array.from(texts.flatMap(({ hidden }) => Array.from(hidden))),
      captions.length,
    );
    const sums = { expected: 0, found: 0, ofNoise: 0 };
    for (let draw = 0; draw < 200; ++draw) {
      const n = 5 * draw + 3;
      const [alpha, sigma] = [Math.sqrt(schedule.alphaBar(n)), Math.sqrt(schedule.betaBar(n))];
      const noise = latents.map((_, i) => gaussian(draw * latents.length + i));
      const states = latents.map((x, i) => alpha * x + sigma * noise[i]!);
      const options = { height: 4, width: 4, context };
      const { out: v, head } = await predictWithHead(unet, states, schedule.networkTime(n), options, 'npr');
      latents.forEach((x, i) => {
        const error = (alpha * noise[i]! - sigma * x - v[i]!) ** 2;
        sums.expected += error;
        sums.ofNoise += alpha ** 2 * error;
        sums.found += head![i]!;
      });
    }
    // At the least of the loss its bias has no gradient: both have the same mean over all that is drawn.
    expect(Math.abs(sums.found / sums.expected - 1)).toBeLessThan(0.1);
    expect(Math.abs(sums.found / sums.ofNoise - 1)).toBeGreaterThan(0.3);
  });

  it('is refused before images are encoded, and beside a prediction of the data', async () => {
    const data = newFolder();
    await cp(pipelines.v, data, { recursive: true });
    const path = join(data, 'scheduler/scheduler_config.json');
    const scheduler = (await readJson(path)) as object;
    await writeFile(path, JSON.stringify({ ...scheduler, prediction_type: 'sample' }));
    expect((await failure(Trainer.open(headRun({ network: data })))).message).toMatch(
      /a head beside the prediction 'x0'/,
    );
    const encode = vi.spyOn(Autoencoder.prototype, 'encode');
    await failure(Trainer.open(headRun({ head: 'sn' })));
    await failure(Trainer.open(headRun({ snrGamma: 5 })));
    await failure(Trainer.open(headRun({ levelSampling: 'loss-second-moment' })));
    await failure(Trainer.open(headRun({ prediction: 'epsilon' })));
    expect(encode).not.toHaveBeenCalled();
    encode.mockRestore();
  });

  it.each<[string, Partial<TrainerOptions>, RegExp]>([
    ['without a network', { network: undefined }, /^head: a head learns on a pipeline that has learned/],
    ['on a configuration', { network: tinyPipeline }, /^head: a head learns on a pipeline that has learned/],
    ['of another kind beside v', { head: 'sn' }, /the head 'sn' beside the prediction 'v' cannot be trained/],
    ['beside another prediction', { prediction: 'epsilon' }, /the head 'npr' beside the prediction 'epsilon'/],
    ['with min-SNR weights', { snrGamma: 5 }, /^snrGamma/],
    ['with a mode alone', { head: undefined, headMode: 'simple' }, /^headMode is for a head/],
  ])('is refused %s', async (_, changed, message) => {
    const latents = join(pipelines.v, 'vae');
    expect((await failure(Trainer.open(headRun({ latents, ...changed })))).message).toMatch(message);
  });
});

/** Normal numbers by their index, by Box and Muller from a hash. */
function gaussian(index: number): number {
  const unit = (salt: number): number => {
    const x = Math.sin(12.9898 * index + 78.233 * salt) * 43758.5453;
    return x - Math.floor(x);
  };
  return Math.sqrt(-2 * Math.log(1 - unit(1) + 1e-12)) * Math.cos(2 * Math.PI * unit(2));
}

/** A pipeline with a head whose weights are those of the network's own output. */
async function withCopiedHead(network: string, mode: 'simple' | 'complex'): Promise<string> {
  const out = newFolder();
  await trained(headRun({ network, headMode: mode, out, steps: 1 }));
  const [own, head] = [await fileTensors(join(out, UNET)), await fileTensors(join(out, NPR))];
  for (const [name, tensor] of head) {
    const of = name.replace('norm_out', 'conv_norm_out');
    const from = own.get(of);
    // A residual block whose second convolution gives nothing is the identity.
    if (from !== undefined) head.set(name, from);
    else if (name.startsWith('resnet.conv2')) head.set(name, { ...tensor, bytes: new Uint8Array(tensor.bytes.length) });
  }
  await writeFileTensors(join(out, NPR), head);
  return out;
}

describe.each(['reference', 'cpu'])('a head of a conditional U-Net on %s', (device) => {
  it.each(['simple', 'complex'] as const)('sees the map that the output norm sees: %s', async (mode) => {
    const folder = await withCopiedHead(pipelines.epsilon, mode);
    await using unet = await ConditionalUNet.load(join(folder, 'unet'), { device, threads: 2 });
    const [x, context] = [new Float32Array(2 * 32).map((_, i) => gaussian(i)), new Float32Array(2 * 6 * 8).fill(0.3)];
    const options = { height: 4, width: 4, context };
    const { out, head } = await predictWithHead(unet, x, [17, 803], options, 'npr');
    expect(head).toEqual(out);
    expect(await unet.forward(x, [17, 803], options)).toEqual(out);
    expect((await failure(predictWithHead(unet, x, [17, 803], options, 'sn'))).message).toBe(
      "the U-Net has no variance head 'sn'; it has: npr",
    );
    await using without = await ConditionalUNet.load(join(pipelines.epsilon, 'unet'), { device });
    expect([unet.parameters, unet.heads]).toEqual([without.parameters, ['npr']]);
    expect(await unet.bytesFor({ height: 4, width: 4, tokens: 6, head: 'npr' })).toBeGreaterThan(
      await unet.bytesFor({ height: 4, width: 4, tokens: 6 }),
    );
  });
});

describe('a sampler that reads a head of a pipeline', () => {
  const call = { prompt: 'a cat', steps: 5, seed: 1, output: 'latents' } as const;

  it('has the variance of the noise where the head is that of v', async () => {
    // The error of v is a constant c; that of the noise is then alpha^2 c, which a head of an epsilon network cannot be.
    const folder = newFolder();
    await cp(await constantHead(pipelines.v, 0.5), folder, { recursive: true });
    await using pipeline = await TextToImage.load(folder, cpu);
    const { schedule } = pipeline;
    const moments = Float64Array.from({ length: 1001 }, (_, i) => 1 - schedule.alphaBar(i) * 0.5);
    for (const guidance of [1, 4]) {
      const all = { ...call, guidance };
      const byHead = await pipeline.generate({ ...all, sampler: 'npr-ddpm' });
      // Analytic-DPM's variance of the data is (sigma / alpha)^2 (1 - m).
      // Of latents, which neither an interval nor grey levels limit.
      const gamma = {
        schedule: schedule.name,
        numTrainTimesteps: 1000,
        imagesPerStep: 1,
        m: moments,
        secondMoment: 100,
      };
      const byMoments = await pipeline.generate({ ...all, sampler: 'analytic-ddpm', gamma });
      const furthest = byHead.latents.reduce((most, z, i) => Math.max(most, Math.abs(z - byMoments.latents[i]!)), 0);
      expect(furthest).toBeLessThan(1e-4);
    }
  });

  it('is as exact between the times of the schedule, and at the last ones', async () => {
    const { schedule } = await TextToImage.load(pipelines.v, cpu);
    const { scale } = promptedHead({ heads: ['npr'], headPrediction: 'v' }, schedule, 'npr')!;
    for (const n of [1, 2, 500, 999, 1000]) {
      expect(scale(Math.fround(schedule.networkTime(n))) / schedule.alphaBar(n), String(n)).toBeCloseTo(1, 12);
    }
    const [before, between, after] = [499, 499.5, 500].map(scale);
    expect(between! / Math.sqrt(before! * after!)).toBeCloseTo(1, 5);
    expect(promptedHead({ heads: ['sn'], headPrediction: 'epsilon' }, schedule, 'sn')!.scale(3)).toBe(1);
    expect(promptedHead({ heads: ['sn'], headPrediction: 'epsilon' }, schedule, null)).toBeNull();
  });

  it('is refused without one, and by name', async () => {
    await using pipeline = await TextToImage.load(pipelines.v, cpu);
    for (const sampler of ['npr-ddim', 'sn-ddpm'] as const) {
      const error = await failure(pipeline.generate({ ...call, sampler }));
      expect([error.code, error.message]).toEqual([
        'ERR_DPM_ARGUMENT',
        `the sampler reads the second output '${sampler.split('-')[0]}', which the U-Net does not have; its variance heads: none`,
      ]);
      // At the call, before anything is encoded.
      expect(() => pipeline.stream({ ...call, sampler })).toThrow('which the U-Net does not have');
    }
    const program = samplers['npr-ddim'](pipeline.schedule, { steps: 2 });
    const encode = vi.spyOn(pipeline.unet, 'prepare');
    await expect(pipeline.run(program, { prompt: 'a' })).rejects.toThrow('which the U-Net does not have');
    expect(encode).not.toHaveBeenCalled();
    const folder = await constantHead(pipelines.v, 0.5);
    const config = (await readJson(join(folder, HEADS))) as object;
    await writeFile(join(folder, HEADS), JSON.stringify({ ...config, heads: { sn: 'npr.safetensors' } }));
    await using other = await TextToImage.load(folder, cpu);
    expect((await failure(other.generate({ ...call, sampler: 'sn-ddim' }))).message).toBe(
      "the head 'sn' beside the prediction 'v' is not known",
    );
  });

  it('has nothing to do with low-rank additions', async () => {
    const { description, checkpoint } = await readConditional(join(await constantHead(pipelines.v, 0.5), 'unet'));
    expect([...checkpoint.tensors.keys()].filter((name) => name.startsWith('head.'))).toHaveLength(4);
    expect([...unetLayerNames(description, checkpoint).values()].filter((name) => name.startsWith('head.'))).toEqual(
      [],
    );
  });

  it.each<[string, object, RegExp]>([
    ['of other channels', { out_channels: 3 }, /heads.config.json: out_channels is 3/],
    ['of groups that do not divide', { norm_num_groups: 5 }, /norm_num_groups 5 does not divide 16 channels/],
    ['of an unknown prediction', { prediction_type: 'sample' }, /prediction_type/],
    ['of another form', { mode: 'complex' }, /head\.npr\.resnet/],
  ])('is refused a head %s', async (_, changed, message) => {
    const folder = await constantHead(pipelines.v, 0.5);
    const config = (await readJson(join(folder, HEADS))) as object;
    await writeFile(join(folder, HEADS), JSON.stringify({ ...config, ...changed }));
    expect((await failure(TextToImage.load(folder, cpu))).message).toMatch(message);
  });
});

/** A pipeline whose head gives one number everywhere. */
async function constantHead(network: string, value: number): Promise<string> {
  const out = newFolder();
  await trained(headRun({ network, out, steps: 1 }));
  const head = await fileTensors(join(out, NPR));
  for (const [name, tensor] of head) {
    const values = new Float32Array(tensor.bytes.length / 4).fill(name === 'conv_out.bias' ? value : 0);
    head.set(name, { ...tensor, bytes: new Uint8Array(values.buffer) });
  }
  await writeFileTensors(join(out, NPR), head);
  return out;
}
