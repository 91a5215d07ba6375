// Measures the cost of a step beyond its network evaluation: with all steps launched one after the other, and watched, that is with
// a call back to JavaScript between them. Includes the update, the initial noise and the copy of the images, shared by all steps.
import { samplers } from '../../dist/index.js';
import { withClocks } from './clocks.mjs';
import { withModel, withModelFolder } from './networks.mjs';
import { graphsOf, OwnNetwork } from './own-network.mjs';
import { median, printRow, settings } from './settings.mjs';

const { quick, selfTest } = settings;
const cases = selfTest
  ? [['mnist', 1]]
  : [
      ['mnist', 1],
      ['mnist', 64],
      ['ddpm-cifar10-32', 1],
      ['ddpm-cifar10-32', 64],
    ].slice(0, quick ? 2 : 4);
const steps = selfTest ? 2 : 50;
const repeats = selfTest ? 1 : 9;
/** The number of steps after which all graphs have been captured. */
const warmUp = selfTest ? 1 : 4;

async function timeRuns(run) {
  const times = [];
  for (let i = 0; i < warmUp + repeats; ++i) {
    const start = performance.now();
    await run();
    if (i >= warmUp) times.push(performance.now() - start);
  }
  return median(times);
}

async function measure(model, network, batch, clocks) {
  const own = new OwnNetwork(model.unet);
  const start = performance.now();
  await own.prepare(batch);
  const preparedIn = Number(((performance.now() - start) / 1000).toFixed(1));
  clocks.since();
  const evaluation = median(await own.time(selfTest ? 1 : 300));
  own.close();
  const program = samplers.ddim(model.schedule, { steps });
  const options = { count: batch, batch, seed: 1 };
  const whole = await timeRuns(() => model.run(program, options));
  const watched = await timeRuns(() => model.run(program, { ...options, onProgress: () => undefined }));
  const beyond = (total) => (1000 * (total - steps * evaluation)) / steps;
  printRow({
    network,
    batch,
    steps,
    evaluationMilliseconds: evaluation,
    wholeMilliseconds: whole,
    watchedMilliseconds: watched,
    wholeMicrosecondsPerStep: beyond(whole),
    watchedMicrosecondsPerStep: beyond(watched),
    preparedIn,
    ...graphsOf(model.device),
    ...clocks.since(),
  });
}

await withClocks(async (clocks) => {
  for (const name of new Set(cases.map(([network]) => network))) {
    await withModelFolder(name, (folder) =>
      withModel(folder, { device: 'cuda', dtype: 'bf16' }, async (model) => {
        for (const [network, batch] of cases) if (network === name) await measure(model, network, batch, clocks);
      }),
    );
  }
});
