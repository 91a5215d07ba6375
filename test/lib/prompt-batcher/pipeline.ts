// The pipeline that requests of these tests are for, and what is asked of it.
import { join } from 'node:path';

import { afterEach, beforeEach, expect } from 'vitest';

import { TextToImage, type PromptBatcher } from '../../../lib/index.js';
import { latentFixtures } from '../../support/latent-goldens.js';

const model = join(latentFixtures, 'sd1');
export const lora = join(model, 'lora', 'kohya.safetensors');
export const request = { prompt: 'a cat', steps: 3, height: 16, width: 16, sampler: 'ddim' } as const;
export const long = { ...request, steps: 1000, output: 'latents' } as const;

export let pipeline: TextToImage;

/** Loads the pipeline for each test of a file. */
export function usePipeline(): void {
  beforeEach(async () => {
    pipeline = await TextToImage.load(model, { device: 'cpu', preview: join(latentFixtures, 'taesd') });
  });
  afterEach(() => pipeline.close());
}

/** Waits until a request is being drawn. */
export async function running(batcher: PromptBatcher, steps = 1): Promise<void> {
  const before = batcher.stats().steps;
  await expect.poll(() => batcher.stats().steps, { timeout: 20_000 }).toBeGreaterThanOrEqual(before + steps);
}
