// One network evaluation here and in PyTorch: arms alternated round by round, the same network (as many parameters), inputs
// and outputs on the card. What does not fit into the time is left out and named.
//
//   node evaluate.mjs usual|tuned
import { compare } from './comparison.mjs';
import { armsFor } from './peers.mjs';
import { settings, skip } from './settings.mjs';

const { quick, selfTest, python } = settings;
const [which] = process.argv.slice(2);

/** The networks, the most important first. Compilers take so long that they take part only in the first one. */
const allCases = [
  { network: 'ddpm-cifar10-32', batch: 1, compiles: true },
  { network: 'ddpm-cifar10-32', batch: 128, compiles: true },
  { network: 'ddpm-celebahq-256', batch: 1, compiles: true },
  { network: 'ddpm-cifar10-32', batch: 16 },
  { network: 'ddpm-cifar10-32', batch: 64 },
  { network: 'ddpm-celebahq-256', batch: 8 },
  { network: 'ddpm-cifar10-32', batch: 256 },
];
const counts = { usual: quick ? 2 : allCases.length, tuned: quick ? 1 : 3 };
const cases = selfTest ? [{ network: 'mnist', batch: 1 }] : allCases.slice(0, counts[which]);

if (which === 'tuned' && python?.torch == null) skip(`no PyTorch: ${python?.why ?? 'no Python'}`);
await compare(armsFor(which), cases);
