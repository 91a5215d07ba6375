import { describe, expect, it } from 'vitest';

import { benchNetworks } from '../../../lib/cli/bench/networks.js';
import { multiplyAdds, parameterCount } from '../../../lib/network/cost.js';
import { unetGraph } from '../../../lib/network/unet.js';

describe('networks of the benchmarks', () => {
  // Parameters as published; billions of multiply-adds of convolutions, products and attention, counted independently.
  it.each([
    ['ddpm-cifar10-32', 35_746_307, 6.22],
    ['ddpm-celebahq-256', 113_673_219, 248.5],
    ['ddpmpp-deep', 106_632_579, 18.55],
  ])('%s has its published size', (name, parameters, billions) => {
    const { unet } = benchNetworks[name]!;
    expect(parameterCount(unetGraph(unet))).toBe(parameters);
    expect(multiplyAdds(unetGraph(unet)) / 1e9 / billions).toBeCloseTo(1, 2);
  });
});
