// Whole runs of the public library's text-to-image pipelines (test/fixtures/latent), and the comparison with them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from 'vitest';

import { readJson } from '../../lib/files/files.js';
import {
  NoiseSchedule,
  samplers,
  TextToImage,
  type GenerateOptions,
  type LatentNetworkOptions,
} from '../../lib/index.js';
import { difference, latentFixtures } from './latent-goldens.js';
import { readTensors } from './tensors.js';

interface GoldenRun {
  options: {
    prompt: string[];
    negative_prompt?: string[] | null;
    guidance_scale: number;
    num_inference_steps: number;
    height: number;
    width: number;
    original_size?: number[];
    crops_coords_top_left?: number[];
    target_size?: number[];
  };
  scheduler: Record<string, unknown>;
  sensitivity: { images: number };
}

/** Pipelines, and the names of their runs. */
export const goldenRuns = ['sd1', 'sd2', 'sdxl', 'lcm'].flatMap((model) =>
  readdirSync(join(latentFixtures, model, 'golden'))
    .filter((file) => file.endsWith('.json'))
    .map((file) => ({ model, name: file.replace(/\.json$/, '') })),
);

async function goldenRun(model: string, name: string): Promise<GoldenRun> {
  return (await readJson(join(latentFixtures, model, 'golden', `${name}.json`))) as GoldenRun;
}

/** Options of a call that the golden run's are. */
function optionsOf({ options }: GoldenRun): GenerateOptions {
  const { height, width, original_size, crops_coords_top_left, target_size } = options;
  return {
    prompt: options.prompt,
    negativePrompt: options.negative_prompt ?? undefined,
    guidance: options.guidance_scale,
    steps: options.num_inference_steps,
    height,
    width,
    ...(original_size && { sizes: [original_size, crops_coords_top_left!, target_size!].flat() }),
  };
}

/** Draws what the library has drawn from the same noise, and compares latents and images. */
export async function expectGoldenRun(
  { model, name }: (typeof goldenRuns)[number],
  given: LatentNetworkOptions,
): Promise<void> {
  const run = await goldenRun(model, name);
  const expected = await readTensors(join(latentFixtures, model, 'golden', `${name}.safetensors`));
  const schedule = NoiseSchedule.fromSchedulerConfig(run.scheduler);
  await using pipeline = await TextToImage.load(join(latentFixtures, model), { ...given, schedule });
  const options = { ...optionsOf(run), init: expected.latents! };
  const program = samplers.scheduler(schedule, { steps: options.steps! });
  if (program.kind !== 'step') throw new Error('a scheduler is a program of steps');
  // The library also draws where it then multiplies by 0.
  const draws = program.records.filter(({ variance }) => variance.kind !== 'none').length;
  const noise = expected.noise?.subarray(0, draws * options.init.length);
  const { images, latents, truncated } = await pipeline.generate({ ...options, ...(draws > 0 && { noise: noise! }) });
  expect(truncated).toEqual([false, false]);
  expect(difference(pipeline.vae.fromDiffusion(latents), expected.decoder_input!)).toBeLessThan(2e-4);
  const limit = Math.max(2e-4, 50 * run.sensitivity.images);
  expect(difference(images!.data, expected.images!)).toBeLessThan(limit);
}
