// The rooms of the house: what each holds and which it may use. ARCHITECTURE.md shows this table; rooms.test.ts compares
// both with every import of lib/ and every include of native/ and cuda/.

/** A folder, or one file, and every folder inside it that is no room of its own. */
export interface Room {
  readonly path: string;
  readonly holds: string;
  /** Rooms listed earlier whose files it may import or include. */
  readonly uses: readonly string[];
}

export const rooms: readonly Room[] = [
  { path: 'lib/base', holds: 'errors, checks of arguments, arrays, seeds, images of pixels', uses: [] },
  {
    path: 'lib/files',
    holds: 'reading and writing files: JSON, YAML, configurations, safetensors, atomic writes',
    uses: ['lib/base'],
  },
  {
    path: 'lib/network',
    holds: 'networks are compilers: a description becomes a graph of operations, its tensors and its cost',
    uses: ['lib/base'],
  },
  {
    path: 'lib/program',
    holds: 'what samplers compile to: records, host programs; building, validating, packing them',
    uses: ['lib/base'],
  },
  {
    path: 'lib/schedule',
    holds: 'noise schedules, times, trajectories, jumps, predictions',
    uses: ['lib/base', 'lib/files', 'lib/program'],
  },
  {
    path: 'lib/variance',
    holds: 'formulas and tables of variances; never runs a network',
    uses: ['lib/base', 'lib/files', 'lib/program', 'lib/schedule'],
  },
  {
    path: 'lib/engine',
    holds: 'the addon: devices, tensors, networks on them, fused updates',
    uses: ['lib/base', 'lib/network', 'lib/program'],
  },
  {
    path: 'lib/running',
    holds: 'running programs: evaluators, guidance, noise, host contexts, requests',
    uses: ['lib/base', 'lib/program', 'lib/engine'],
  },
  {
    path: 'lib/samplers',
    holds: 'samplers, one file a family with its facts; their options and numerics',
    uses: ['lib/base', 'lib/program', 'lib/schedule', 'lib/variance'],
  },
  {
    path: 'lib/checkpoint',
    holds: 'model folders, names, conversion, presets; families/ and pytorch/',
    uses: ['lib/base', 'lib/files', 'lib/network', 'lib/program', 'lib/schedule', 'lib/variance', 'lib/engine'],
  },
  {
    path: 'lib/model.ts',
    holds: 'DiffusionModel: wiring only',
    uses: [
      'lib/base',
      'lib/program',
      'lib/schedule',
      'lib/variance',
      'lib/engine',
      'lib/running',
      'lib/samplers',
      'lib/checkpoint',
    ],
  },
  {
    path: 'lib/estimation',
    holds: 'what needs a model and data: second moments, errors, likelihood/',
    uses: [
      'lib/base',
      'lib/program',
      'lib/schedule',
      'lib/variance',
      'lib/engine',
      'lib/running',
      'lib/samplers',
      'lib/model.ts',
    ],
  },
  {
    path: 'lib/cli',
    holds: 'the dpm commands, one file each; plot/ and bench/',
    uses: [
      'lib/base',
      'lib/files',
      'lib/network',
      'lib/program',
      'lib/schedule',
      'lib/variance',
      'lib/engine',
      'lib/samplers',
      'lib/checkpoint',
      'lib/model.ts',
      'lib/estimation',
    ],
  },
  {
    path: 'lib/index.ts',
    holds: 'the public names',
    uses: [
      'lib/base',
      'lib/files',
      'lib/program',
      'lib/schedule',
      'lib/variance',
      'lib/engine',
      'lib/running',
      'lib/samplers',
      'lib/model.ts',
      'lib/estimation',
    ],
  },
];
