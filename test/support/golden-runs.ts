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
  type TextToImageLoadOptions,
} from '../../lib/index.js';
import { difference, latentFixtures } from './latent-goldens.js';
import { readTensors } from './tensors.js';

export interface GoldenRun {
  options: {
    strength?: number;
    prompt: string[];
    negative_prompt?: string[] | null;
    guidance_scale: number;
    guidance_rescale?: number;
    num_inference_steps: number;
    height?: number;
    width?: number;
    original_size?: number[];
    crops_coords_top_left?: number[];
    target_size?: number[];
  };
  scheduler: Record<string, unknown>;
  sensitivity: { images: number };
}

/** Names of the runs in a folder. */
export function runsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.replace(/\.json$/, ''));
}

/** Pipelines, and the names of their runs. */
export const goldenRuns = ['sd1', 'sd2', 'sdxl', 'lcm'].flatMap((model) =>
  runsIn(join(latentFixtures, model, 'golden')).map((name) => ({ model, name })),
);

/** Options of a call that the golden run's are. */
export function optionsOf({ options }: Pick<GoldenRun, 'options'>): GenerateOptions {
  const { height, width, original_size, crops_coords_top_left, target_size } = options;
  return {
    prompt: options.prompt,
    negativePrompt: options.negative_prompt ?? undefined,
    guidance: options.guidance_scale,
    guidanceRescale: options.guidance_rescale,
    steps: options.num_inference_steps,
    strength: options.strength,
    height,
    width,
    ...(original_size && { sizes: [original_size, crops_coords_top_left!, target_size!].flat() }),
  };
}

/** What the library drew of, and what it drew, by the names of the files. */
type Expected = Awaited<ReturnType<typeof readTensors>>;

/**
 * Draws what the library has drawn, and compares latents and images.
 *
 * @param inputs - Gives the noise and pictures of the run as options of a call.
 */
export async function expectRun(
  { model, folder, name }: { model: string; folder: string; name: string },
  given: TextToImageLoadOptions,
  inputs: (
    pipeline: TextToImage,
    expected: Expected,
    options: GenerateOptions,
  ) => Partial<GenerateOptions> | Promise<Partial<GenerateOptions>>,
): Promise<void> {
  const run = (await readJson(join(folder, `${name}.json`))) as GoldenRun;
  const expected = await readTensors(join(folder, `${name}.safetensors`));
  const schedule = NoiseSchedule.fromSchedulerConfig(run.scheduler);
  await using pipeline = await TextToImage.load(join(latentFixtures, model), { ...given, schedule });
  const options = optionsOf(run);
  const drawn = await pipeline.generate({ ...options, ...(await inputs(pipeline, expected, options)) });
  expect(drawn.truncated).toEqual([false, false]);
  expect(difference(pipeline.vae.fromDiffusion(drawn.latents), expected.decoder_input!)).toBeLessThan(2e-4);
  const limit = Math.max(2e-4, 50 * run.sensitivity.images);
  expect(difference(drawn.images!.data, expected.images!)).toBeLessThan(limit);
}

/** Latents of pictures as the public library draws them from an encoder's moments. */
export async function latentsOf(
  { vae }: TextToImage,
  image: Float32Array,
  noise: Float32Array,
  sides: { height: number; width: number },
): Promise<Float32Array> {
  const { mean, logVariance } = await vae.encode(image, sides);
  return vae.toDiffusion(mean.map((value, i) => value + Math.exp(logVariance![i]! / 2) * noise[i]!));
}

/** Draws what the library has drawn from the same noise, and compares latents and images. */
export async function expectGoldenRun(
  { model, name }: (typeof goldenRuns)[number],
  given: LatentNetworkOptions,
): Promise<void> {
  const folder = join(latentFixtures, model, 'golden');
  await expectRun({ model, folder, name }, given, ({ schedule }, expected, { steps }) => {
    const init = expected.latents!;
    const program = samplers.scheduler(schedule, { steps: steps! });
    if (program.kind !== 'step') throw new Error('a scheduler is a program of steps');
    // The library also draws where it then multiplies by 0.
    const draws = program.records.filter(({ variance }) => variance.kind !== 'none').length;
    return { init, ...(draws > 0 && { noise: expected.noise!.subarray(0, draws * init.length) }) };
  });
}
