// Folders that training writes, as diffusers itself loads and evaluates them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { Trainer, type TrainerOptions } from '../../../lib/index.js';
import { maxDifference } from '../../support/golden.js';
import { absentPeer, askPeer } from '../../support/peers.js';
import { namedNumbers } from '../../support/splitmix.js';
import { largest } from '../../support/tensors.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { tinyNetwork, tinyRun } from '../../support/training-data.js';

const folder = temporaryFolder();
const tiny = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny');

interface Evaluated {
  out: number[];
  prediction: string;
}

async function withChannels(channels: number): Promise<Record<string, unknown>> {
  return { ...(JSON.parse(await readFile(tinyNetwork, 'utf8')) as object), out_channels: channels };
}

const runs: Record<string, () => Promise<[options: Partial<TrainerOptions>, prediction: string]>> = {
  'a folder that goes on': () => Promise.resolve([{ network: tiny }, 'epsilon']),
  'a velocity from nothing': () => Promise.resolve([{ prediction: 'v' }, 'v_prediction']),
  'a learned variance': async () => [{ network: await withChannels(6) }, 'epsilon'],
};

it.for(Object.keys(runs))(
  'diffusers evaluates %s as it is evaluated here',
  { timeout: 120_000 },
  async (name, { skip }) => {
    const [options, prediction] = await runs[name]!();
    const out = join(folder, name.replaceAll(' ', '-'));
    await using trainer = await Trainer.open(tinyRun({ ...options, out, averageDecay: 0.5 }));
    await trainer.run();
    await using model = await trainer.model();
    const x = Float32Array.from(namedNumbers('diffusers', 2 * 3 * 64));
    const [t, labels] = [
      [17, 803],
      [1, 4],
    ];
    const { out: own } = await model.unet.forward(x, t, { classLabels: labels });
    expect(own.some((value) => value !== 0)).toBe(true);
    const absent = absentPeer('diffusers');
    if (absent !== null) skip(absent);
    const request = { folder: out, x: [...x], shape: [2, 3, 8, 8], t, labels };
    const found = askPeer('unet/evaluate-diffusers.py', request) as Evaluated;
    expect(found.prediction).toBe(prediction);
    expect(maxDifference(own, Float64Array.from(found.out))).toBeLessThan(1e-5 * largest(own));
  },
);
