// Folders that training writes, as diffusers itself loads and evaluates them.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { Trainer, type TrainerOptions } from '../../../lib/index.js';
import { maxDifference } from '../../support/golden.js';
import { namedNumbers } from '../../support/splitmix.js';
import { largest } from '../../support/tensors.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { tinyNetwork, tinyRun } from '../../support/training-data.js';

const folder = temporaryFolder();
const library = packagePath('.toolchain/peers');
const tiny = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny');

interface Evaluated {
  out: number[];
  prediction: string;
}

function evaluated(request: object): Evaluated {
  const python = packagePath('.toolchain/python/bin/python3');
  const program = packagePath('test/fixtures/unet/evaluate-diffusers.py');
  const env = { ...process.env, PYTHONPATH: library, PYTHONDONTWRITEBYTECODE: '1' };
  const stdio: ['pipe', 'pipe', 'ignore'] = ['pipe', 'pipe', 'ignore'];
  return JSON.parse(
    execFileSync(python, [program], { env, stdio, input: JSON.stringify(request) }).toString(),
  ) as Evaluated;
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
    if (!existsSync(join(library, 'diffusers')))
      skip('skipped: there is no diffusers, which scripts/setup --peers brings');
    const found = evaluated({ folder: out, x: [...x], shape: [2, 3, 8, 8], t, labels });
    expect(found.prediction).toBe(prediction);
    expect(maxDifference(own, Float64Array.from(found.out))).toBeLessThan(1e-5 * largest(own));
  },
);
