// Noise that samplers leave at their defaults, by the border of digits, where nothing is drawn.
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { DiffusionModel, type AnySampleOptions } from '../../../lib/model.js';
import { samplerNames, samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerFacts } from '../../../lib/samplers/sampler.js';
import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const heads = ['npr', 'sn', 'ocm', null] as const;
const models = new Map<(typeof heads)[number], DiffusionModel>();
let device: Device;

beforeAll(async () => {
  device = Device.open({ device: 'cpu' });
  for (const head of heads) models.set(head, await DiffusionModel.load(packagePath('models/mnist'), { device, head }));
});
afterAll(async () => {
  for (const model of models.values()) await model.close();
  await device.close();
});

const count = 4;
const side = 28;
/** Around a digit. */
const border = 2;
/** Grey levels, root mean square: 12 are hardly seen, and digits that reach the border have as much. */
const seen = 15;

async function grain(sampler: SamplerName, steps: number): Promise<number> {
  const { facts } = samplers[sampler];
  const given = 'steps' in facts.options ? { steps } : {};
  const options = { sampler, ...given, seed: 1, count } as AnySampleOptions;
  const { images } = await models.get(facts.head)!.sample(options);
  let [sum, pixels] = [0, 0];
  images.toUint8().forEach((level, i) => {
    const [x, y] = [i % side, Math.floor(i / side) % side];
    if (Math.min(x, y, side - 1 - x, side - 1 - y) >= border) return;
    sum += level ** 2;
    ++pixels;
  });
  return Math.sqrt(sum / pixels);
}

const factsOf = (sampler: SamplerName): SamplerFacts => samplers[sampler].facts;
const enough = (sampler: SamplerName): number => factsOf(sampler).fewestSteps ?? (sampler === 'full-ddpm' ? 10 : 25);

describe('a sampler at its defaults leaves no noise that is seen', () => {
  it.each(samplerNames.map((name) => [name, enough(name)] as const))('%s in %i steps', async (sampler, steps) => {
    expect(await grain(sampler, steps)).toBeLessThan(seen);
  });
});

const slow = samplerNames.filter((name) => factsOf(name).fewestSteps !== undefined);

describe('samplers that want more steps', () => {
  it.each(slow)('%s: leaves some in 25, and says so', async (sampler) => {
    expect(await grain(sampler, 25)).toBeGreaterThan(seen);
    expect(factsOf(sampler).summary).toContain(`for ${enough(sampler)} steps or more`);
    const out = join(temporaryFolder(), 'digits.png');
    const drawn = async (steps: number): Promise<string> => {
      const words = ['sample', 'mnist', '--device', 'cpu', '--sampler', sampler, '--count', '1', '--out', out];
      return (await dpm(...words, '--steps', String(steps))).stderr;
    };
    const note = `${sampler} leaves noise in the pictures of fewer than ${enough(sampler)} steps, these have`;
    expect(await drawn(enough(sampler) - 1)).toContain(`${note} ${enough(sampler) - 1}`);
    expect(await drawn(enough(sampler))).not.toContain(note);
  });
});
