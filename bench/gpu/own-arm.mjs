// Our engine behind lines of JSON, as torch_peers.py is PyTorch:
//   {"op": "open"}                                  {"version": ...}
//   {"op": "prepare", "network": ..., "batch": N}   {"parameters": N}
//   {"op": "time", "milliseconds": N}               {"milliseconds": [...], "captures": N, "captureFailures": N}
// The times are those of blocks of evaluations; the counts, of graphs, are there where the device has them.
// A failure is answered with {"error": ...}.
//
//   node own-arm.mjs '{"dtype": "bf16", "autotune": false}'
import { Device } from '../../dist/index.js';
import { answerLines } from './answer-lines.mjs';
import { loadNetwork } from './networks.mjs';
import { graphsOf, OwnNetwork } from './own-network.mjs';

const options = JSON.parse(process.argv[2]);
let device = null;
let loaded = { name: null, unet: null, network: null };

async function load(name) {
  if (loaded.name === name) return;
  loaded.network?.close();
  await loaded.unet?.close();
  loaded = { name: null, unet: null, network: null };
  const unet = await loadNetwork(device, name);
  loaded = { name, unet, network: new OwnNetwork(unet) };
}

const operations = {
  open() {
    device = Device.open({ device: 'cuda', ...options });
    return { version: device.description };
  },
  async prepare({ network, batch }) {
    await load(network);
    await loaded.network.prepare(batch);
    return { parameters: loaded.unet.info.parameters };
  },
  async time({ milliseconds }) {
    return { milliseconds: await loaded.network.time(milliseconds), ...graphsOf(device) };
  },
};

await answerLines(operations);
await device?.close();
