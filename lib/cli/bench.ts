import { benchBoundary } from './bench/boundary.js';
import { benchLoad } from './bench/load.js';
import { benchNfe } from './bench/nfe.js';
import { benchServe } from './bench/serve.js';
import { benchDefaults } from './bench/settings.js';
import { benchUpdate } from './bench/update.js';
import { type Command } from './command.js';
import { usageError } from './usage-error.js';
import { deviceOptions } from './model-options.js';

const { networks, batches, served, load, seconds, rounds, lengths, longShare } = benchDefaults;

const benchmarks = { nfe: benchNfe, update: benchUpdate, boundary: benchBoundary, load: benchLoad, serve: benchServe };

export const benchCommand: Command = {
  name: 'bench',
  summary:
    'Benchmarks: nfe (one network evaluation), update (the fused sampler step), boundary (a call into the engine), load (a network from its files), serve (requests that come at any time).',
  arguments: ['nfe|update|boundary|load|serve'],
  options: {
    ...deviceOptions,
    network: {
      value: 'NAMES',
      help: `nfe, load: mnist, ddpm-cifar10-32, ddpm-celebahq-256, ddpmpp-deep (these with random weights) or model folders, separated by commas; default ${networks.join()}. serve: one model; default ${served}`,
    },
    batch: { value: 'SIZES', help: `nfe: batch sizes separated by commas; default ${batches.join()}` },
    load: { value: 'X', help: `serve: rows offered over what the batch can do; default ${load}` },
    seconds: { value: 'N', help: `serve: how long requests come in each round; default ${seconds}` },
    rounds: { value: 'N', help: `serve: how often both policies take turns; default ${rounds}` },
    steps: { value: 'LENGTHS', help: `serve: steps of the requests, equally likely; default ${lengths.join()}` },
    long: { value: 'SHARE', help: `serve: share of requests of 1000 steps; default ${longShare}` },
    rows: { value: 'N', help: 'serve: rows of a step; default as measured' },
    profile: { help: 'nfe: also time every node, at the first batch size, and tell the least that it could take' },
  },
  async run(call) {
    const [name = ''] = call.positionals;
    if (!Object.hasOwn(benchmarks, name)) {
      throw usageError(`'${name}' is not a benchmark; benchmarks: ${Object.keys(benchmarks).join(', ')}`);
    }
    await benchmarks[name as keyof typeof benchmarks](call);
  },
};
