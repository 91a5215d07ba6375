// Measures where the time of an evaluation goes: layer by layer, as `dpm bench nfe --profile` does, and kernel by kernel where NVIDIA's
// profilers are installed.
import { Device } from '../../dist/index.js';
import { withClocks } from './clocks.mjs';
import { kernelsOfEvaluation, profilerThere } from './kernel-trace.mjs';
import { loadNetwork } from './networks.mjs';
import { graphsOf } from './own-network.mjs';
import { printRow, settings } from './settings.mjs';

const { quick, selfTest } = settings;
const network = selfTest ? 'mnist' : 'ddpm-cifar10-32';
const batches = selfTest ? [1] : [1, 128].slice(0, quick ? 1 : 2);
const repeats = selfTest ? 1 : 10;

async function layers(clocks) {
  const device = Device.open({ device: 'cuda', dtype: 'bf16' });
  try {
    const unet = await loadNetwork(device, network);
    const nodes = unet.native.nodes();
    for (const batch of batches) {
      clocks.since();
      const times = await unet.native.profile(batch, repeats);
      const circumstances = { ...graphsOf(device), ...clocks.since() };
      for (const [i, { name: layer, milliseconds }] of times.entries()) {
        const microseconds = 1000 * milliseconds;
        printRow({ network, batch, layer, op: nodes[i]?.op, microseconds, ...(i === 0 ? circumstances : {}) });
      }
    }
  } finally {
    await device.close();
  }
}

async function kernels() {
  const profiler = profilerThere();
  for (const batch of batches) {
    if (profiler === null) printRow({ network, batch, tool: null, reason: 'neither nsys nor ncu is on PATH' });
    else for (const row of await kernelsOfEvaluation(profiler, network, batch)) printRow({ network, batch, ...row });
  }
}

await withClocks(layers);
await kernels();
