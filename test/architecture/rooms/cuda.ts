import type { Room } from './room.js';

/** Rooms of cuda/, in the order of their floors. */
export const cudaRooms: readonly Room[] = [
  {
    path: 'cuda/runtime',
    holds: 'memory, streams, events and graphs of the CUDA runtime, owned',
    uses: ['native/core'],
    lines: 700,
  },
  {
    path: 'cuda/kernels',
    holds: 'the kernels, compiled by nvcc and, emulated, as C++',
    uses: ['native/core', 'native/backend'],
    lines: 7800,
  },
  {
    path: 'cuda/products',
    holds: 'the interface of whoever multiplies',
    uses: ['native/core', 'cuda/runtime'],
    lines: 580,
  },
  {
    path: 'cuda/dnn',
    holds: 'cuDNN behind it, opened when the program runs',
    uses: ['native/core', 'cuda/runtime', 'cuda/products'],
    lines: 2600,
  },
  {
    path: 'cuda/device',
    holds: 'one card: its stream, memory and limits',
    uses: ['native/core', 'native/backend', 'cuda/runtime', 'cuda/products'],
    lines: 370,
  },
  {
    path: 'cuda/layers',
    holds: 'nodes of a graph made ready to run',
    uses: ['native/core', 'native/backend', 'cuda/kernels', 'cuda/products', 'cuda/device'],
    lines: 2500,
  },
  {
    path: 'cuda/execution',
    holds: 'networks with memory for a batch, graphs of steps, whole trajectories, steps of running batches, states',
    uses: ['native/core', 'native/backend', 'cuda/runtime', 'cuda/kernels', 'cuda/device', 'cuda/layers'],
    lines: 1980,
  },
  {
    path: 'cuda',
    holds: 'the table of the CUDA device and its entry point',
    uses: ['native/core', 'native/backend', 'cuda/runtime', 'cuda/kernels', 'cuda/device', 'cuda/execution'],
    lines: 350,
  },
];
