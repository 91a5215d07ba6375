import { describe, expect, it } from 'vitest';

import { familyByName } from '../../../lib/checkpoint/families/index.js';
import { presetNames, presets } from '../../../lib/checkpoint/presets.js';
import { parameterCount } from '../../../lib/network/cost.js';
import { unetGraph } from '../../../lib/network/unet.js';
import { publishedMultiplyAdds } from '../../support/published-cost.js';

/** Published parameters, and billions of multiply-adds (without filters); parameters that are not loaded. */
const published: [name: string, parameters: number, multiplyAdds: number, unused?: number][] = [
  ['ddpm-cifar10', 35_746_307, 6.222],
  ['ddpm-celeba64', 78_700_803, 24.051],
  ['ddpm-lsun-256', 113_673_219, 248.514],
  ['ddpm-celebahq-256', 113_673_219, 248.514],
  ['ddpm-sde-cifar10', 35_218_947, 6.021],
  ['ddpm-sde-256', 111_569_923, 247.843],
  ['ddpmpp-cifar10', 61_804_419, 10.847],
  ['ddpmpp-deep-cifar10', 106_632_579, 18.547],
  ['ncsnpp-vp-cifar10', 62_693_251, 10.881],
  ['ncsnpp-vp-deep-cifar10', 107_521_411, 18.581],
  ['ncsnpp-ve-cifar10', 62_758_915, 10.881],
  ['ncsnpp-ve-deep-cifar10', 107_587_075, 18.581],
  ['ncsnpp-ve-256', 65_574_549, 265.887],
  ['iddpm-cifar10', 52_546_438, 8.387],
  ['analytic-cifar10', 52_542_979, 8.383],
  ['analytic-cifar10-cosine', 52_542_979, 8.383],
  ['iddpm-imagenet64', 121_063_942, 39.736],
  ['iddpm-imagenet64-class', 273_049_350, 89.086],
  ['iddpm-lsun-256', 113_676_678, 248.74],
  ['adm-imagenet64', 295_904_454, 109.678],
  ['adm-imagenet128', 421_529_606, 306.928],
  ['adm-imagenet256', 553_838_086, 1119.833],
  ['adm-256', 552_814_086, 1119.833],
  ['adm-imagenet512', 558_997_638, 1982.335],
  ['adm-afhq-dog-256', 93_563_910, 193.967],
  ['classifier-imagenet64', 65_438_568, 19.079],
  ['classifier-imagenet128', 42_568_040, 21.04],
  ['classifier-imagenet256', 54_096_360, 73.349],
  ['classifier-imagenet512', 54_448_360, 112.767],
  ['edm-cifar10-ddpmpp', 55_733_891, 21.19, 9 * 128],
  ['edm-cifar10-ddpmpp-class', 55_735_299, 21.19, 9 * 128],
  ['edm-cifar10-ncsnpp', 56_397_955, 21.24, 9 * 256],
  ['edm-ffhq64-ddpmpp', 61_805_571, 41.86, 9 * 128],
  ['edm-ffhq64-ncsnpp', 62_761_219, 42.0, 9 * 256],
  ['edm-imagenet64-adm', 295_899_267, 109.658, 0],
];

describe('presets', () => {
  it.each(published)('%s has the published size and cost', (name, parameters, billions, unused = 0) => {
    const config = presets[name]!;
    const { unet } = familyByName(config.family).network(config, name);
    expect(parameterCount(unetGraph(unet)) + unused).toBe(parameters);
    expect(Math.abs(publishedMultiplyAdds(unet) / 1e9 / billions - 1)).toBeLessThan(1e-3);
  });

  it('all have published numbers, or differ from one that has by their classes', () => {
    const known = published.map(([name]) => name);
    expect(presetNames.filter((name) => !known.includes(name))).toEqual(['edm-cifar10-ncsnpp-class']);
  });
});
