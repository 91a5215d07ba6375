// Folders of training runs, whose checkpoints tell their steps by their numbers.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, expect } from 'vitest';

import { diffusersFile } from '../../lib/checkpoint/families/diffusers-file.js';
import { readModelFolder } from '../../lib/checkpoint/read-model.js';
import { readSafetensorsHeader } from '../../lib/files/safetensors.js';
import { readFloats } from '../../lib/files/tensor-data.js';
import { initialWeights } from '../../lib/training/initial-weights.js';
import type { StepMetrics } from '../../lib/training/metrics.js';
import { sourcesOf, type WeightTensors } from '../../lib/engine/checkpoint-tensors.js';
import {
  trainingParts,
  type TrainingCheckpoint,
  type TrainingPart,
  type WholeCheckpoint,
} from '../../lib/training/run-folder/checkpoint-files.js';
import { filesOfNetwork, type NetworkOfRun } from '../../lib/training/run-folder/model-files.js';
import { RunFolder, type RunFolderOptions } from '../../lib/training/run-folder/run-folder.js';
import { packagePath, temporaryFolder } from './temporary.js';

const folder = temporaryFolder();
let places = 0;
export const fresh = (): string => join(folder, `run-${places++}`);

export const initial = (name: string): Record<string, unknown> =>
  (
    JSON.parse(readFileSync(packagePath(`test/fixtures/gradients/initial/${name}.json`), 'utf8')) as {
      config: Record<string, unknown>;
    }
  ).config;

export const config = initial('diffusers');
export const network: NetworkOfRun = {
  config,
  scheduler: diffusersFile.layout.scheduler,
  layout: diffusersFile.layout,
  head: null,
};
export const options: RunFolderOptions = {
  settings: { batch: 8, rate: 2e-4, head: undefined },
  model: filesOfNetwork(network),
};

export let weights: WeightTensors;
beforeAll(async () => {
  weights = await initialWeights(diffusersFile.network(config, 'config.json'), 1);
});

export const shifted = (tensors: WeightTensors, by: number): WeightTensors =>
  new Map([...tensors].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => value + by) }]));

/** Tensors whose numbers tell their step; only the average, which is a model, has all weights. */
export function tensorsOf(step: number): Record<TrainingPart, WeightTensors> {
  const few = new Map([...weights].filter(([name]) => name.startsWith('conv_')));
  return {
    parameters: shifted(few, step),
    firstMoments: shifted(few, -1),
    secondMoments: shifted(few, 2),
    average: shifted(weights, step / 4),
  };
}

export function checkpoint(step: number, tensors = tensorsOf(step)): TrainingCheckpoint {
  return { step, progress: { seconds: step / 2 }, part: (name) => sourcesOf(tensors[name]) };
}

/** Tells checkpoints apart by every bit of them. */
export async function digest(of: TrainingCheckpoint | WholeCheckpoint | null): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([of?.step, of?.progress]));
  for (const part of trainingParts) {
    for (const [name, { shape, data }] of [...((await of?.part(part)) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const { buffer, byteOffset, byteLength } = await data();
      hash.update(`${part} ${name} ${shape.join()}`).update(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }
  return hash.digest('hex');
}

export const metrics = (step: number): StepMetrics => ({
  step,
  loss: 1 / step,
  gradientNorm: 1,
  rate: 1e-4,
  averageDecay: 0.5,
  imagesPerSecond: 1,
  seconds: step,
});

export async function trained(path: string, ...steps: number[]): Promise<void> {
  await using run = await RunFolder.open(path, options);
  for (let step = (run.newest?.step ?? 0) + 1; step <= Math.max(...steps); ++step) {
    await run.metrics.add(metrics(step));
    if (steps.includes(step)) await run.save(checkpoint(step));
  }
}

export const checkpointsOf = (path: string): string[] => readdirSync(join(path, 'checkpoints')).sort();

/** Requires the folder to be a model, and gives the first element of its input's bias. */
export async function modelOf(path: string): Promise<number> {
  const model = await readModelFolder(path);
  const { report } = await model.select(null);
  expect(report).toEqual({ missing: [], unused: [], misshapen: [] });
  const header = await readSafetensorsHeader(join(path, 'unet', 'diffusion_pytorch_model.safetensors'));
  return (await readFloats(header, 'conv_in.bias')).data[0]!;
}

export const biasOf = (step: number): number => tensorsOf(step).average.get('conv_in.bias')!.data[0]!;
