// Public calls with hostile values, one at a time: each is refused with a code of ours and a message of one line, or
// done; nothing hangs, and what the caller's own objects throw reaches the caller. Of calls that run, which take
// longest, every ninth of the values are tried; DPM_ATTACK=all tries all.
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import * as dpm from '../../lib/index.js';
import { floatTensor, writeFileTensors } from '../support/file-tensors.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';
import { tinyAutoencoder, tinyPipeline, tinyRun, writeTinyImages } from '../support/training-data.js';
import { answerOf, misuses, withOptionNames, type PublicCall } from './attack.js';
import { classifierCalls } from './calls/classifiers.js';
import { fileCalls } from './calls/files.js';
import { gradientCalls } from './calls/gradients.js';
import { latentCalls, pipelineCalls } from './calls/latents.js';
import { plainCalls } from './calls/plain.js';
import { runningCalls } from './calls/running.js';
import { servingCalls } from './calls/serving.js';
import { trainingCalls } from './calls/training.js';

const folder = temporaryFolder();
let model: dpm.DiffusionModel;
let device: dpm.Device;

beforeAll(async () => {
  process.chdir(folder);
  model = await dpm.DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu', threads: 1 });
  device = dpm.Device.open({ device: 'cpu', threads: 1 });
});
afterAll(async () => {
  await model.close();
  await device.close();
});

/** Exports that end something, or are not for callers. */
const withoutArguments =
  /\.(close|drain|on|release|releasePrompts)$|^UNet\.(load|whileOpen|derivative|labelScore)$|^Device\.whileOpen$|^ClipTokenizer\.(padded|of)$|^DiffusionModel\.network$|^Classifier\.features$|^(Batcher|ReplicatedBatcher|PromptBatcher)\.(open|stats)$/;

/** Names, by `Class.method`, of the exports whose calls were tried. */
const triedExports = new Set<string>();

/** Tries every value, or each one of `share`: every one of them comes with some call. */
async function problemsOf(calls: readonly PublicCall[], share = 1): Promise<{ tried: number; problems: string[] }> {
  const problems: string[] = [];
  let [tried, seen] = [0, 0];
  for (const call of calls) {
    triedExports.add(call.name.split(':')[0]!);
    try {
      await call.call(...call.args);
    } catch (error) {
      problems.push(`${call.name} with valid arguments: ${String(error)}`);
    }
    for (const { what, args } of misuses(await withOptionNames(call))) {
      if (++seen % share !== 0) continue;
      ++tried;
      const problem = await answerOf(call, args);
      if (problem !== null) problems.push(`${what}: ${problem}`);
    }
  }
  return { tried, problems };
}

describe('hostile values', { timeout: 600_000 }, () => {
  it('of schedules, programs, samplers and images', async () => {
    const { tried, problems } = await problemsOf(plainCalls());
    expect(tried).toBeGreaterThan(10_000);
    expect(problems).toEqual([]);
  });

  it('of files', async () => {
    const { tried, problems } = await problemsOf(await fileCalls(folder));
    expect(tried).toBeGreaterThan(1000);
    expect(problems).toEqual([]);
  });

  it('of what runs', async () => {
    const share = process.env.DPM_ATTACK === 'all' ? 1 : 9;
    const { tried, problems } = await problemsOf(runningCalls(model, device), share);
    expect(tried).toBeGreaterThan(5000 / share);
    expect(problems).toEqual([]);
  });

  it('of what is served', async () => {
    const share = process.env.DPM_ATTACK === 'all' ? 1 : 9;
    await using batcher = await model.batcher({ rows: 2 });
    const { tried, problems } = await problemsOf(servingCalls(model, batcher), share);
    expect(tried).toBeGreaterThan(3000 / share);
    expect(problems).toEqual([]);
    expect(batcher.stats().unfinished).toBe(0);
  });

  it('of classifiers', async () => {
    const place = packagePath('test/fixtures/unet/classifier-attention');
    await using classifier = await dpm.Classifier.load(place, { device });
    const { tried, problems } = await problemsOf(classifierCalls(classifier, place));
    expect(tried).toBeGreaterThan(200);
    expect(problems).toEqual([]);
  });

  it('of gradients of weights', async () => {
    const place = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny');
    await using small = await dpm.DiffusionModel.load(place, { device: 'reference' });
    const { tried, problems } = await problemsOf(gradientCalls(small.unet));
    expect(tried).toBeGreaterThan(200);
    expect(problems).toEqual([]);
  });

  it('of networks of latent diffusion', async () => {
    const place = (name: string): string => packagePath(`test/fixtures/latent/sd1/${name}`);
    const folders = {
      vae: place('vae'),
      encoder: place('text_encoder'),
      unet: place('unet'),
      control: packagePath('test/fixtures/latent/controlnet/controlnet-a'),
      prior: packagePath('test/fixtures/latent/prior/prior'),
      file: packagePath('test/fixtures/latent/sd1-single/model.safetensors'),
      pipeline: place(''),
    };
    await using vae = await dpm.Autoencoder.load(folders.vae, { device });
    await using encoder = await dpm.ClipTextEncoder.load(folders.encoder, { device });
    await using unet = await dpm.ConditionalUNet.load(folders.unet, { device, controlNets: [folders.control] });
    const picture = await unet.prepareControl(0, new Float32Array(3 * 8 * 16), { height: 8, width: 16 });
    await using prior = await dpm.DiffusionPrior.load(folders.prior, { device });
    const { tried, problems } = await problemsOf(latentCalls({ vae, encoder, unet, picture, prior }, folders));
    expect(tried).toBeGreaterThan(300);
    expect(problems).toEqual([]);
  });

  it('of pipelines', async () => {
    const place = packagePath('test/fixtures/latent/sd1');
    const controlNets = [packagePath('test/fixtures/latent/controlnet/controlnet-a')];
    await using pipeline = await dpm.TextToImage.load(place, { device, controlNets });
    const vector = new Map([['<thing>', floatTensor(new Float32Array(32), [32])]]);
    const embedding = await writeFileTensors(join(folder, 'embedding.safetensors'), vector);
    const share = process.env.DPM_ATTACK === 'all' ? 1 : 9;
    const batcher = await pipeline.batcher({ rows: 1 });
    const { tried, problems } = await problemsOf(pipelineCalls({ pipeline, batcher }, place, embedding), share);
    expect(tried).toBeGreaterThan(1000 / share);
    expect(problems).toEqual([]);
  });

  it('of training', async () => {
    const share = process.env.DPM_ATTACK === 'all' ? 1 : 9;
    const data = await writeTinyImages(join(folder, 'training.safetensors'));
    const run = { steps: 40, checkpointEvery: 40, out: join(folder, 'run'), tensorboard: true };
    await using trainer = await dpm.Trainer.open(tinyRun(run));
    const latents = join(folder, 'autoencoder');
    await using autoencoder = await dpm.Trainer.open(tinyRun({ network: tinyAutoencoder, out: latents }));
    await autoencoder.save();
    const ofCaptions = tinyRun({ captions: Array<string>(12).fill('a cat'), latents, network: tinyPipeline });
    await using pipeline = await dpm.Trainer.open({ ...ofCaptions, out: join(folder, 'pipeline') });
    const calls = trainingCalls({ trainer, autoencoder, pipeline }, { data, latents, device });
    const { tried, problems } = await problemsOf(calls, share);
    expect(tried).toBeGreaterThan(1000 / share);
    expect(problems).toEqual([]);
    expect(trainer.done).toBe(40);
  });

  it('of every function and method that is exported', () => {
    const methodsOf = (name: string, holder: object): string[] =>
      Object.entries(Object.getOwnPropertyDescriptors(holder))
        .filter(([method, { value }]) => typeof value === 'function' && method !== 'constructor')
        .map(([method]) => `${name}.${method}`);
    const exported = Object.entries(dpm).flatMap(([name, value]) => {
      if (typeof value !== 'function') return [];
      const prototype = (value as { prototype?: object }).prototype;
      // Classes have names that begin so; their instances come from calls that are tried.
      if (/^[A-Z]/.test(name)) return [...methodsOf(name, value), ...methodsOf(name, prototype ?? {})];
      return [name];
    });
    expect(exported.length).toBeGreaterThan(90);
    expect(exported.filter((name) => !triedExports.has(name) && !withoutArguments.test(name))).toEqual([]);
    expect([...triedExports].filter((name) => withoutArguments.test(name))).toEqual([]);
  });
});
