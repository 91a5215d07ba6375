// Networks of every family that begin with nothing, and what they learn.
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readJson } from '../../../lib/files/files.js';
import { DiffusionModel, Trainer, type OpenedImages, type TrainerOptions } from '../../../lib/index.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { tinyImages, tinyNetwork, tinyRun } from '../../support/training-data.js';

const folder = temporaryFolder();

const unet = (name: string): string => packagePath(`test/fixtures/unet/${name}`);

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

async function configOf(path: string): Promise<Record<string, unknown>> {
  return (await readJson(path)) as Record<string, unknown>;
}

/** Images of one level each; of noise there would be nothing to learn. */
function evenImages(side: number): OpenedImages {
  const images = tinyImages(4, [3, side, side]);
  return { ...images, images: images.images.map((_, i) => [30, 90, 160, 220][Math.floor(i / (3 * side * side))]!) };
}

interface Begun {
  config: string;
  changed?: Record<string, unknown>;
  options?: Partial<TrainerOptions>;
}

const families: Record<string, Begun> = {
  diffusers: { config: tinyNetwork },
  'diffusers, v': { config: tinyNetwork, options: { prediction: 'v' } },
  'diffusers, learned variance': { config: tinyNetwork, changed: { out_channels: 6 } },
  ho: { config: `${unet('ho-ddpm')}/config.json` },
  'openai, learned variance': { config: `${unet('openai-adm-class')}/config.json` },
  'score_sde, VP': { config: `${unet('score-sde-ddpmpp')}/config.json` },
  'score_sde, VE': { config: `${unet('score-sde-ncsnpp-fir')}/config.json` },
  'EDM of score_sde': { config: `${unet('edm-ddpmpp')}/config.json` },
  'EDM of ADM': { config: `${unet('edm-ddpmpp')}/config.json`, changed: { kind: 'DhariwalUNet', label_dim: 5 } },
};

describe('a network of the family', () => {
  it.each(Object.keys(families))('%s learns from nothing, and draws', async (name) => {
    const { config, changed = {}, options = {} } = families[name]!;
    const network: Record<string, unknown> = { ...(await configOf(config)), ...changed };
    const out = join(folder, name.replaceAll(/\W/g, '-'));
    const side = name.startsWith('diffusers') ? 8 : 16;
    const images = evenImages(side);
    const own = { network, out, steps: 40, batch: 4, rate: 2e-3, clip: 1, checkpointEvery: 40, ...options };
    await using trainer = await Trainer.open(tinyRun({ ...own, data: images, averageDecay: 0.5 }));
    const losses: number[] = [];
    for await (const { loss } of trainer) losses.push(loss);
    expect(meanOf(losses.slice(-10))).toBeLessThan(0.8 * meanOf(losses.slice(0, 10)));
    await using model = await DiffusionModel.load(out, { device: trainer.device });
    // Its samplers know of a variance only if the scheduler tells them.
    if (trainer.sampleShape[0] * 2 === network.out_channels) {
      expect(model.schedule.defaults.variance).toBe('learned');
    }
    const classLabels = trainer.classes === 0 ? undefined : 1;
    const { images: drawn } = await model.sample({
      sampler: model.schedule.preservesVariance ? 'ddim' : 'euler',
      steps: 4,
      seed: 1,
      classLabels,
    });
    expect(drawn.data.every((value) => Number.isFinite(value))).toBe(true);
  });
});

it('a learned variance takes the maps of another forward pass', async () => {
  const mapsOf = async (channels: number): Promise<number> => {
    const network = { ...(await configOf(tinyNetwork)), out_channels: channels };
    await using trainer = await Trainer.open(tinyRun({ network }));
    return trainer.memory.maps;
  };
  expect(await mapsOf(6)).toBeGreaterThan(1.15 * (await mapsOf(3)));
});
