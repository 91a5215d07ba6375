import { diffusersNetwork } from '../diffusers.js';
import { parseDiffusersConfig } from '../diffusers-config.js';
import type { Family } from '../family.js';

/** A diffusers network alone, its names those of the current library. */
export const diffusersFile: Family = {
  name: 'diffusers',
  recognise: (names) => [...names].find((name) => /^(down_blocks|downsample_blocks)\.0\./.test(name)) ?? null,
  network(raw, source) {
    const { family: _, ...config } = raw;
    return {
      unet: diffusersNetwork(parseDiffusersConfig(config, source), source),
      head: null,
      heads: [],
      source: (name) => ({ key: name }),
      ignores: () => false,
    };
  },
};
