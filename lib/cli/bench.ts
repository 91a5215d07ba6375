import { benchBoundary } from './bench/boundary.js';
import { benchLoad } from './bench/load.js';
import { benchNfe } from './bench/nfe.js';
import { benchServe } from './bench/serve.js';
import { benchUpdate } from './bench/update.js';
import { usageError, type Command } from './command.js';
import { deviceOptions } from './model-options.js';

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
      help: 'nfe, load: mnist, ddpm-cifar10-32, ddpm-celebahq-256, ddpmpp-deep (these with random weights) or model folders, separated by commas; default the first two. serve: one model; default mnist',
    },
    batch: { value: 'SIZES', help: 'nfe: batch sizes separated by commas; default 1,4,16' },
    load: { value: 'X', help: 'serve: rows offered over what the batch can do; default 0.8' },
    seconds: { value: 'N', help: 'serve: how long requests come in each round; default 30' },
    rounds: { value: 'N', help: 'serve: how often both policies take turns; default 2' },
    steps: { value: 'LENGTHS', help: 'serve: steps of the requests, equally likely; default 10,25,70' },
    long: { value: 'SHARE', help: 'serve: share of requests of 1000 steps; default 0' },
    rows: { value: 'N', help: 'serve: rows of a step; default as measured' },
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
