// One evaluation on the card and nothing else, for profilers to look at.
//
//   node one-evaluation.mjs NETWORK BATCH
import { Device } from '../../dist/index.js';
import { loadNetwork } from './networks.mjs';

const [network, batch] = process.argv.slice(2);
const device = Device.open({ device: 'cuda', dtype: 'bf16', autotune: false });
const unet = await loadNetwork(device, network);
const { inChannels, height, width } = unet.info;
const x = new Float32Array(batch * inChannels * height * width).map((_, i) => Math.sin(i));
await unet.forward(x, 500);
await device.close();
