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
  { path: 'lib/base', holds: 'errors, checks of arguments, arrays, seeds', uses: [] },
  {
    path: 'lib/files',
    holds: 'reading and writing files: JSON, YAML, configurations, safetensors, atomic writes',
    uses: ['lib/base'],
  },
  {
    path: 'lib/images',
    holds: 'batches of images, the pictures and files that they are or become, their distances',
    uses: ['lib/base', 'lib/files'],
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
    uses: ['lib/base', 'lib/images', 'lib/program', 'lib/engine'],
  },
  {
    path: 'lib/samplers',
    holds:
      'samplers, one file a family with its facts; their options and numerics; scheduler/: files of diffusers as runs',
    uses: ['lib/base', 'lib/files', 'lib/program', 'lib/schedule', 'lib/variance'],
  },
  {
    path: 'lib/checkpoint',
    holds: 'model folders, names, conversion, presets; families/ and pytorch/',
    uses: ['lib/base', 'lib/files', 'lib/network', 'lib/program', 'lib/schedule', 'lib/variance', 'lib/engine'],
  },
  {
    path: 'lib/serving',
    holds: 'batchers: keys, admission, calibration, streams, models in JavaScript, ports',
    uses: ['lib/base', 'lib/images', 'lib/program', 'lib/schedule', 'lib/engine', 'lib/running', 'lib/samplers'],
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
      'lib/serving',
    ],
  },
  {
    path: 'lib/guidance',
    holds: 'what guides a sampler: classifiers and their gradients, the rows of classifier-free guidance',
    uses: ['lib/base', 'lib/schedule', 'lib/engine', 'lib/running', 'lib/checkpoint'],
  },
  {
    path: 'lib/translation',
    holds: 'images of one domain as images of another: energies, constraints, low-passes',
    uses: ['lib/base', 'lib/images', 'lib/schedule', 'lib/engine', 'lib/running', 'lib/model.ts', 'lib/guidance'],
  },
  {
    path: 'lib/estimation',
    holds: 'what needs a model and data: second moments, errors, likelihood/, flow/',
    uses: [
      'lib/base',
      'lib/images',
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
      'lib/images',
      'lib/network',
      'lib/program',
      'lib/schedule',
      'lib/variance',
      'lib/engine',
      'lib/running',
      'lib/samplers',
      'lib/checkpoint',
      'lib/serving',
      'lib/model.ts',
      'lib/guidance',
      'lib/translation',
      'lib/estimation',
    ],
  },
  {
    path: 'lib/index.ts',
    holds: 'the public names',
    uses: [
      'lib/base',
      'lib/files',
      'lib/images',
      'lib/program',
      'lib/schedule',
      'lib/variance',
      'lib/engine',
      'lib/running',
      'lib/samplers',
      'lib/checkpoint',
      'lib/serving',
      'lib/model.ts',
      'lib/guidance',
      'lib/translation',
      'lib/estimation',
    ],
  },
  {
    path: 'native/platform',
    holds: 'what differs between systems and processors: memory, files, libraries, threads; a folder for each system',
    uses: [],
  },
  {
    path: 'native/core',
    holds: 'errors, memory, threads, Philox, scalar functions',
    uses: ['native/platform'],
  },
  {
    path: 'native/backend',
    holds: 'the C ABI between engine and device, the record, header-only helpers of both sides',
    uses: ['native/core'],
  },
  {
    path: 'native/graph',
    holds: 'graphs: operations, shapes, validation, memory plan',
    uses: ['native/core', 'native/backend'],
  },
  {
    path: 'native/graph/passes',
    holds: 'what rewrites a graph: fusion, as far as the device supports it; derivatives',
    uses: ['native/core', 'native/backend', 'native/graph'],
  },
  {
    path: 'native/weights',
    holds: 'weights in files',
    uses: ['native/core', 'native/graph'],
  },
  {
    path: 'native/devices/cpu',
    holds: 'the CPU device, linked in',
    uses: ['native/platform', 'native/core', 'native/backend'],
  },
  {
    path: 'native/devices/reference',
    holds: 'the reference device, a plug-in: naive loops in double',
    uses: ['native/core', 'native/backend'],
  },
  {
    path: 'native/devices',
    holds: 'the registry of devices, the one place that includes one',
    uses: ['native/platform', 'native/core', 'native/backend', 'native/devices/cpu'],
  },
  {
    path: 'native/engine',
    holds: 'device handles, the engine thread, loaded networks',
    uses: ['native/platform', 'native/core', 'native/backend', 'native/graph', 'native/graph/passes', 'native/devices'],
  },
  {
    path: 'native/sampling',
    holds: 'the sampling loop',
    uses: ['native/core', 'native/backend', 'native/engine'],
  },
  {
    path: 'native/addon',
    holds: 'Node-API: wraps/, jobs/, convert/; checks, copies, lifetimes, no arithmetic',
    uses: [
      'native/core',
      'native/backend',
      'native/graph',
      'native/weights',
      'native/devices',
      'native/engine',
      'native/sampling',
    ],
  },
  {
    path: 'cuda/runtime',
    holds: 'memory, streams, events and graphs of the CUDA runtime, owned',
    uses: ['native/core'],
  },
  {
    path: 'cuda/kernels',
    holds: 'the kernels, compiled by nvcc and, emulated, as C++',
    uses: ['native/core', 'native/backend'],
  },
  {
    path: 'cuda/products',
    holds: 'the interface of whoever multiplies',
    uses: ['native/core', 'cuda/runtime'],
  },
  {
    path: 'cuda/dnn',
    holds: 'cuDNN behind it, opened when the program runs',
    uses: ['native/core', 'cuda/runtime', 'cuda/products'],
  },
  {
    path: 'cuda/device',
    holds: 'one card: its stream, memory and limits',
    uses: ['native/core', 'native/backend', 'cuda/runtime', 'cuda/products'],
  },
  {
    path: 'cuda/layers',
    holds: 'nodes of a graph made ready to run',
    uses: ['native/core', 'native/backend', 'cuda/kernels', 'cuda/products', 'cuda/device'],
  },
  {
    path: 'cuda/execution',
    holds: 'networks with memory for a batch, graphs of steps, whole trajectories, steps of running batches, states',
    uses: ['native/core', 'native/backend', 'cuda/runtime', 'cuda/kernels', 'cuda/device', 'cuda/layers'],
  },
  {
    path: 'cuda',
    holds: 'the table of the CUDA device and its entry point',
    uses: ['native/core', 'native/backend', 'cuda/runtime', 'cuda/kernels', 'cuda/device', 'cuda/execution'],
  },
];
