import { benchBoundary } from './bench/boundary.js';
import { benchNfe } from './bench/nfe.js';
import { benchRoofline, rooflineOptions } from './bench/roofline/command.js';
import { benchUpdate } from './bench/update.js';
import { usageError, type Command } from './command.js';
import { deviceOptions } from './model-options.js';

const benchmarks = { nfe: benchNfe, update: benchUpdate, boundary: benchBoundary, roofline: benchRoofline };

export const benchCommand: Command = {
  name: 'bench',
  summary:
    'Microbenchmarks: nfe (one network evaluation), update (the fused sampler step), boundary (a call into the engine); roofline (a model of the CUDA device, which needs none).',
  arguments: ['nfe|update|boundary|roofline'],
  options: {
    ...deviceOptions,
    dtype: { value: 'TYPE', help: `${deviceOptions.dtype?.help ?? ''}; roofline: f32, tf32, bf16, default bf16` },
    network: {
      value: 'NAMES',
      help: 'nfe: mnist, ddpm-cifar10-32, ddpm-celebahq-256, ddpmpp-deep (these with random weights) or model folders, separated by commas; default the first two; roofline: the same without mnist, default all',
    },
    batch: { value: 'SIZES', help: 'nfe, roofline: batch sizes separated by commas; default 1,4,16 or 1,16,128' },
    profile: { help: 'nfe: also time every node, roofline: also list every kernel, at the first batch size' },
    ...rooflineOptions,
  },
  async run(call) {
    const [name = ''] = call.positionals;
    if (!Object.hasOwn(benchmarks, name)) {
      throw usageError(`'${name}' is not a benchmark; benchmarks: ${Object.keys(benchmarks).join(', ')}`);
    }
    await benchmarks[name as keyof typeof benchmarks](call);
  },
};
