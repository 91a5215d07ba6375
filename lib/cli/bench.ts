import { benchBoundary } from './bench/boundary.js';
import { benchNfe } from './bench/nfe.js';
import { benchUpdate } from './bench/update.js';
import { usageError, type Command } from './command.js';
import { deviceOptions } from './model-options.js';

const benchmarks = { nfe: benchNfe, update: benchUpdate, boundary: benchBoundary };

export const benchCommand: Command = {
  name: 'bench',
  summary:
    'Microbenchmarks: nfe (one network evaluation), update (the fused sampler step), boundary (a call into the engine).',
  arguments: ['nfe|update|boundary'],
  options: {
    ...deviceOptions,
    network: {
      value: 'NAMES',
      help: 'nfe: mnist, ddpm-cifar10-32, ddpm-celebahq-256, ddpmpp-deep (these with random weights) or model folders, separated by commas; default the first two',
    },
    batch: { value: 'SIZES', help: 'nfe: batch sizes separated by commas; default 1,4,16' },
    profile: { help: 'nfe: also time every node, at the first batch size' },
  },
  async run(call) {
    const [name = ''] = call.positionals;
    if (!Object.hasOwn(benchmarks, name)) {
      throw usageError(`'${name}' is not a benchmark; benchmarks: ${Object.keys(benchmarks).join(', ')}`);
    }
    await benchmarks[name as keyof typeof benchmarks](call);
  },
};
