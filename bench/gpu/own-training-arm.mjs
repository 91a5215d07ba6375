// Our steps of training behind lines of JSON, as own-arm.mjs has evaluations:
//   {"op": "open"}                                                         {"version": ...}
//   {"op": "prepare", "network": ..., "configuration": {...}, "batch": N}  {"parameters": N}
//   {"op": "time", "milliseconds": N}                                      {"milliseconds": [...], "captures": N, ...}
// The times are those of blocks of steps, each of which draws its samples, evaluates both ways, clips, takes Adam's step and
// averages the weights. A failure is answered with {"error": ...}.
//
//   node own-training-arm.mjs '{"tf32": true}'
import { Device, Trainer } from '../../dist/index.js';
import { answerLines } from './answer-lines.mjs';
import { graphsOf } from './own-network.mjs';

const options = JSON.parse(process.argv[2]);
/** The number of steps after which all plans are made and all graphs captured. */
const WARM_UP_STEPS = 4;
const BLOCK_MILLISECONDS = 100;
const MOST_STEPS = 50;

let device = null;
let trainer = null;

function imagesOf({ in_channels: channels, sample_size: side }, count) {
  const images = Uint8Array.from({ length: count * channels * side ** 2 }, (_, i) => (i * 37) % 256);
  return { images, labels: null, shape: [count, channels, side, side] };
}

/** The milliseconds of a step among `count`. */
async function block(count) {
  const start = performance.now();
  for (let i = 0; i < count; ++i) await trainer.step();
  return (performance.now() - start) / count;
}

const operations = {
  open() {
    device = Device.open({ device: 'cuda', ...options });
    return { version: device.description };
  },
  async prepare({ configuration, batch }) {
    await trainer?.close();
    trainer = await Trainer.open({ data: imagesOf(configuration, 2 * batch), network: configuration, device, batch });
    await block(WARM_UP_STEPS);
    return { parameters: trainer.parameters };
  },
  async time({ milliseconds }) {
    const count = Math.min(MOST_STEPS, Math.ceil(BLOCK_MILLISECONDS / (await block(1))));
    const times = [];
    const end = performance.now() + milliseconds;
    do times.push(await block(count));
    while (performance.now() < end);
    return { milliseconds: times, ...graphsOf(device) };
  },
};

await answerLines(operations);
await trainer?.close();
await device?.close();
