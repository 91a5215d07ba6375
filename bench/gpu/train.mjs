// A step of training here and in PyTorch, eager and compiled: arms alternated round by round, the same network.
import { Comparison } from './comparison.mjs';
import { trainingArms } from './peers.mjs';
import { printRow, settings } from './settings.mjs';
import { withClocks } from './clocks.mjs';

const { quick, selfTest, python } = settings;

/** The networks, the most important first; one is compiled, which takes minutes. */
const allCases = [
  { network: 'ddpm-cifar10-32', batch: 128, compiles: true },
  { network: 'mnist', batch: 64 },
  { network: 'ddpm-cifar10-32', batch: 16 },
];
const cases = selfTest ? [{ network: 'mnist', batch: 1 }] : allCases.slice(0, quick ? 1 : 3);

const arms = trainingArms();
if (arms.every(({ isOwn }) => isOwn) && !selfTest) {
  printRow({ arm: 'PyTorch', error: `left out: ${python?.why ?? 'no Python'}` });
}
await withClocks(async (clocks) => {
  const comparison = new Comparison(arms, clocks);
  try {
    for (const each of cases) await comparison.run(each);
  } finally {
    for (const arm of arms) arm.close();
  }
  if (comparison.failures.length > 0) throw new Error(comparison.failures[0].split('\n').at(-1));
});
