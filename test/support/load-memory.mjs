// Loads a checkpoint in a process of its own and prints how much private memory that took at most.
import { readFileSync } from 'node:fs';

import { DiffusionModel } from '../../dist/index.js';

const [path, config, dtype] = process.argv.slice(2);

/** Private memory of this process, in bytes. */
function privateBytes() {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
}

const before = privateBytes();
let peak = before;
const timer = setInterval(() => {
  peak = Math.max(peak, privateBytes());
}, 2);
const model = await DiffusionModel.load(path, { device: 'cpu', threads: 1, config, dtype });
clearInterval(timer);
peak = Math.max(peak, privateBytes());
console.log(JSON.stringify({ grown: peak - before, weightBytes: model.unet.info.weightBytes }));
await model.close();
