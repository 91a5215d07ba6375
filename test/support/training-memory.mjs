// Trains a few steps in a process of its own and prints how much private memory it took at most until each of them, a checkpoint
// behind it included, beyond what there was in the beginning.
import { readFileSync } from 'node:fs';

import { Trainer } from '../../dist/index.js';

const [network, out] = process.argv.slice(2);

/** Private memory of this process, in bytes. */
function privateBytes() {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
}

let peak = 0;
const timer = setInterval(() => {
  peak = Math.max(peak, privateBytes());
}, 2);

const before = privateBytes();

/** Calls `work`, and tells the most memory that there was meanwhile. */
async function mostIn(work) {
  peak = privateBytes();
  const result = await work();
  return { result, most: Math.max(peak, privateBytes()) - before };
}

const sides = 8;
const images = Uint8Array.from({ length: 2 * 3 * sides * sides }, (_, i) => (7919 * i) % 256);
const { result: trainer, most: opened } = await mostIn(() =>
  Trainer.open({
    data: { images, labels: null, shape: [2, 3, sides, sides], fingerprint: '', broken: 0 },
    network: JSON.parse(network),
    device: 'cpu',
    threads: 1,
    steps: 100,
    batch: 1,
    checkpointEvery: 100,
    out,
  }),
);
const [stepped, saved] = [[], []];
for (let i = 0; i < 3; ++i) {
  stepped.push((await mostIn(() => trainer.step())).most);
  saved.push((await mostIn(() => trainer.save())).most);
}
clearInterval(timer);
const { begun, parameters, memory } = trainer;
console.log(JSON.stringify({ begun, weights: 4 * parameters, opened, stepped, saved, memory }));
await trainer.close();
