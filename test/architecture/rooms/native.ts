import type { Room } from './room.js';

/** Rooms of native/, in the order of their floors. */
export const nativeRooms: readonly Room[] = [
  {
    path: 'native/platform',
    holds: 'what differs between systems and processors: memory, files, libraries, threads; a folder for each system',
    uses: [],
    lines: 670,
  },
  {
    path: 'native/core',
    holds: 'errors, memory, threads, Philox, scalar functions',
    uses: ['native/platform'],
    lines: 1000,
  },
  {
    path: 'native/backend',
    holds: 'the C ABI between engine and device, the record, header-only helpers of both sides',
    uses: ['native/core'],
    lines: 1700,
  },
  {
    path: 'native/graph',
    holds: 'graphs: operations, shapes, validation, memory plan',
    uses: ['native/core', 'native/backend'],
    lines: 1640,
  },
  {
    path: 'native/graph/passes',
    holds: 'what rewrites a graph: fusion, as far as the device supports it; derivatives',
    uses: ['native/core', 'native/backend', 'native/graph'],
    lines: 1720,
  },
  {
    path: 'native/weights',
    holds: 'weights in files, and what is added to them as they are read',
    uses: ['native/platform', 'native/core', 'native/graph'],
    lines: 640,
  },
  {
    path: 'native/devices/cpu',
    holds: 'the CPU device, linked in',
    uses: ['native/platform', 'native/core', 'native/backend'],
    lines: 7900,
  },
  {
    path: 'native/devices/reference',
    holds: 'the reference device, a plug-in: naive loops in double',
    uses: ['native/core', 'native/backend'],
    lines: 1400,
  },
  {
    path: 'native/devices',
    holds: 'the registry of devices, the one place that includes one',
    uses: ['native/platform', 'native/core', 'native/backend', 'native/devices/cpu'],
    lines: 300,
  },
  {
    path: 'native/engine',
    holds: 'device handles, the engine thread, loaded networks',
    uses: ['native/platform', 'native/core', 'native/backend', 'native/graph', 'native/graph/passes', 'native/devices'],
    lines: 1700,
  },
  {
    path: 'native/sampling',
    holds: 'the sampling loop',
    uses: ['native/core', 'native/backend', 'native/engine'],
    lines: 2800,
  },
  {
    path: 'native/training',
    holds: 'steps of training: samples, losses, the optimiser',
    uses: ['native/core', 'native/engine'],
    lines: 1700,
  },
  {
    path: 'native/addon',
    holds: 'Node-API: call.h, wraps/, convert/; checks, copies, lifetimes, no arithmetic',
    uses: [
      'native/core',
      'native/backend',
      'native/graph',
      'native/weights',
      'native/devices',
      'native/engine',
      'native/sampling',
      'native/training',
    ],
    lines: 3530,
  },
];
