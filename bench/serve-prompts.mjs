// Compares requests of texts in one batch with the same requests one after the other: milliseconds, medians of alternated rounds.
//
//   npm run build && node bench/serve-prompts.mjs [MODEL] [ROUNDS]
import { median } from '../dist/base/quantile.js';
import { TextToImage } from '../dist/index.js';

const [path = 'emoji', rounds = '9'] = process.argv.slice(2);
await using pipeline = await TextToImage.load(path, { device: 'cpu' });
await using batcher = await pipeline.batcher();

const things = ['rocket', 'heart', 'frog', 'star', 'cat', 'tree', 'house', 'fish'];
const colours = ['blue', 'red', 'green', 'yellow'];
/** Requests of different texts, of 10 to 25 steps by three samplers. @param {number} count */
const requestsOf = (count) =>
  Array.from({ length: count }, (_, i) => ({
    prompt: `a ${colours[i % 4]} ${things[i % 8]}, flat style`,
    sampler: /** @type {const} */ (['ddim', 'unipc', 'dpm-solver++-2m'])[i % 3] ?? 'ddim',
    steps: 10 + 5 * (i % 4),
    seed: i,
  }));

/** @param {() => Promise<unknown>} work */
async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

for (const count of [1, 4, 16, 32]) {
  const requests = requestsOf(count);
  /** @type {{ together: number[], alone: number[] }} */
  const times = { together: [], alone: [] };
  for (let round = 0; round <= Number(rounds); ++round) {
    const together = await timed(() => Promise.all(requests.map((request) => batcher.generate(request))));
    const alone = await timed(async () => {
      for (const request of requests) await pipeline.generate(request);
    });
    // The first round loads networks and encodes texts.
    if (round === 0) continue;
    times.together.push(together);
    times.alone.push(alone);
  }
  const [together, alone] = [median(times.together), median(times.alone)];
  console.log(
    `${path}, ${count} requests: ${together.toFixed(0)} ms in a batch, ${alone.toFixed(0)} ms one after the other, ${(alone / together).toFixed(2)} times as long`,
  );
}
