// A sampler written without dpm-native drives its U-Net: the Euler method in the noise scale sigma, as k-diffusion
// states it, on typed arrays. The network is the only thing taken from the package; `out` is reused, so that a step
// allocates nothing.
//
//   node examples/foreign-sampler.mjs [STEPS] [OUT.png]
import { writeFileSync } from 'node:fs';

import { DiffusionModel } from 'dpm-native';
import { encode } from 'fast-png';

const steps = Number(process.argv[2] ?? 25);
const file = process.argv[3] ?? 'foreign-sampler.png';
const count = 16;
const side = 28;

const model = await DiffusionModel.load(new URL('../models/mnist', import.meta.url).pathname, { device: 'cpu' });

/** alphaBar of the linear schedule the model was trained with, index n - 1. */
const alphaBar = [];
for (let n = 0, product = 1; n < 1000; ++n) alphaBar.push((product *= 1 - (1e-4 + (n / 999) * (2e-2 - 1e-4))));
const sigmas = alphaBar.map((a) => Math.sqrt((1 - a) / a));

// x here is the sample in units where the data has no factor: x = data + sigma * noise.
const x = new Float32Array(count * side * side);
const input = new Float32Array(x.length);
const epsilon = new Float32Array(x.length);
for (let i = 0; i < x.length; ++i) {
  x[i] = (sigmas[999] ?? 0) * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

for (let step = 0; step < steps; ++step) {
  const n = Math.round(999 * (1 - step / steps));
  const next = Math.round(999 * (1 - (step + 1) / steps));
  const sigma = sigmas[n];
  const target = step + 1 < steps ? sigmas[next] : 0;
  for (let i = 0; i < x.length; ++i) input[i] = x[i] / Math.sqrt(1 + sigma * sigma);
  await model.unet.forward(input, n, { out: epsilon });
  for (let i = 0; i < x.length; ++i) x[i] += (target - sigma) * epsilon[i];
}
await model.close();

const columns = 4;
const image = new Uint8Array(count * side * side);
for (let i = 0; i < x.length; ++i) {
  const [sample, y, column] = [Math.floor(i / (side * side)), Math.floor(i / side) % side, i % side];
  const row = Math.floor(sample / columns) * side + y;
  image[row * columns * side + (sample % columns) * side + column] = Math.round(
    255 * Math.min(Math.max((x[i] + 1) / 2, 0), 1),
  );
}
writeFileSync(file, encode({ width: columns * side, height: (count / columns) * side, data: image, channels: 1 }));
console.log(`${count} digits in ${steps} evaluations each: ${file}`);
