import { parseDiffusersConfig } from '../diffusers-config.js';
import { canonicalDiffusersName, diffusersNetwork } from '../diffusers.js';
import { linearSchedule } from '../family-schedule.js';
import type { Family, FolderLayout } from '../family.js';
import { pytorchInitial } from '../initial-rule.js';

/** The layout of a pipeline; a network that came without its scheduler gets the one that it is taken to have. */
export const diffusersLayout: FolderLayout = {
  network: 'unet',
  weights: 'diffusion_pytorch_model',
  namesFamily: false,
  scheduler: { _class_name: 'DDPMScheduler', num_train_timesteps: 1000, beta_schedule: 'linear' },
};

/** Family of a diffusers network without its folder, with names of the current library. */
export const diffusersFile: Family = {
  name: 'diffusers',
  assumption: "without its folder, its noise schedule is taken to be DDPM's",
  labelForNone: 'last class',
  layout: diffusersLayout,
  canonicalName: canonicalDiffusersName,
  schedule(config, options) {
    if (config.raw('time_embedding_type') === 'fourier') {
      throw config.error('time_embedding_type', 'positional without a scheduler_config.json: give the folder');
    }
    return linearSchedule(options);
  },
  recognise: (names) => [...names].find((name) => /^(down_blocks|downsample_blocks)\.0\./.test(name)) ?? null,
  network(raw, source, imageSize) {
    const { family: _, ...config } = raw;
    return {
      unet: diffusersNetwork(parseDiffusersConfig(config, source, imageSize), source),
      head: null,
      heads: [],
      source: (name) => ({ key: name }),
      ignores: () => false,
      initial: pytorchInitial,
    };
  },
};
