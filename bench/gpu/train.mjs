// A step of training here and in PyTorch, eager and compiled: arms alternated round by round, the same network.
import { compare } from './comparison.mjs';
import { trainingArms } from './peers.mjs';
import { settings } from './settings.mjs';

const { quick, selfTest } = settings;

/** The networks, the most important first; one is compiled, which takes minutes. */
const allCases = [
  { network: 'ddpm-cifar10-32', batch: 128, compiles: true },
  { network: 'mnist', batch: 64 },
  { network: 'ddpm-cifar10-32', batch: 16 },
];
const cases = selfTest ? [{ network: 'mnist', batch: 1 }] : allCases.slice(0, quick ? 1 : 3);

await compare(trainingArms(), cases);
