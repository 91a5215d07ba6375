// Measures the cost of derivatives of a network beside that of an evaluation: milliseconds, medians of alternated rounds; MiB of maps of
// one
// sample and multiply-adds.
//
//   npm run build && node bench/derivatives.mjs [MODEL] [ROUNDS]
import { DiffusionModel } from '../dist/index.js';

const [path = 'mnist', rounds = '15'] = process.argv.slice(2);
const model = await DiffusionModel.load(path, { device: 'cpu' });
const { unet, sampleShape } = model;
const elements = sampleShape.reduce((product, size) => product * size, 1);

/** @param {readonly number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

for (const batch of [1, 16]) {
  const x = Float32Array.from({ length: batch * elements }, (_, i) => Math.sin(i));
  const { out } = await unet.forward(x, 500);
  const work = {
    forward: () => unet.forward(x, 500, { out }),
    pullback: () => unet.pullback(x, 500, { cotangent: out }),
    'pullback, blocks again': () => unet.pullback(x, 500, { cotangent: out, recompute: 'blocks' }),
    pushforward: () => unet.pushforward(x, 500, { tangent: x }),
  };
  /** @type {Record<string, number[]>} */
  const times = {};
  for (let round = 0; round <= Number(rounds); ++round) {
    for (const [name, run] of Object.entries(work)) {
      const start = performance.now();
      await run();
      // The first round loads networks and reserves memory.
      if (round > 0) (times[name] ??= []).push(performance.now() - start);
    }
  }
  const forward = median(times['forward'] ?? []);
  for (const [name, all] of Object.entries(times)) {
    const own = median(all);
    console.log(
      `${path}, batch ${batch}: ${name} ${own.toFixed(2)} ms, ${(own / forward).toFixed(2)} of an evaluation`,
    );
  }
}
const networks = {
  forward: unet.native,
  pullback: await unet.derivative('pullback'),
  'pullback, blocks again': await unet.derivative('pullback', 'blocks'),
  pushforward: await unet.derivative('pushforward'),
};
for (const [name, { info }] of Object.entries(networks)) {
  const [mebibytes, multiplyAdds] = [info.rowBytes / 2 ** 20, info.multiplyAdds / 1e9];
  console.log(`${path}: ${name} ${mebibytes.toFixed(2)} MiB a sample, ${multiplyAdds.toFixed(3)} G multiply-adds`);
}
await model.close();
