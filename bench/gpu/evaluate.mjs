// One network evaluation here and in PyTorch: arms alternated round by round, the same network (as many parameters), inputs
// and outputs on the card. What does not fit into the time is left out and named.
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Arm } from './arm.mjs';
import { configurationOf } from './networks.mjs';
import { median, packagePath, printRow, settings } from './settings.mjs';

const { quick, selfTest, seconds, python } = settings;
const deadline = performance.now() + 1000 * (seconds - 10);
const left = () => (deadline - performance.now()) / 1000;

/** What matters most comes first. */
const cases = selfTest
  ? [['mnist', 1]]
  : [
      ['ddpm-cifar10-32', 1],
      ['ddpm-cifar10-32', 256],
      ['ddpm-cifar10-32', 64],
      ['ddpm-cifar10-32', 8],
      ['ddpm-celebahq-256', 1],
      ['ddpm-celebahq-256', 8],
    ].slice(0, quick ? 2 : 6);
const rounds = quick ? 2 : 7;
const roundMilliseconds = selfTest ? 1 : 150;
const OPENING_SECONDS = 90;
/** Compilers and tuning take their time; nobody gets all of it. */
const PREPARING_SECONDS = 200;
/** For everything but preparing: more means that it hangs. */
const TIMING_SECONDS = 60;

function ownArm(name, options) {
  // Apart from what the user's own programs have measured.
  const environment = { XDG_CACHE_HOME: join(tmpdir(), 'dpm-gpu-check-cache') };
  const parameters = [packagePath('bench/gpu/own-arm.mjs'), JSON.stringify(options)];
  return new Arm(name, process.execPath, parameters, environment);
}

const peerArm = (name, mode) =>
  new Arm(name, python.command, [packagePath('bench/gpu/torch_peers.py'), '--mode', mode]);

const own = [
  ownArm('dpm-native bf16', { dtype: 'bf16', autotune: false }),
  ownArm('dpm-native bf16, autotuned', { dtype: 'bf16', autotune: true }),
];
const peers =
  python?.torch == null
    ? []
    : [
        peerArm('PyTorch eager bf16, channels last', 'eager'),
        peerArm('PyTorch compiled bf16, max-autotune, CUDA graphs', 'compiled'),
      ];
const arms = [...own, ...peers];
const failures = [];

function fail(arm, facts, error) {
  const message = error.message.slice(0, 500);
  // The others may take longer than there is time for.
  if (own.includes(arm) || !/took longer than/.test(message)) failures.push(`${arm.name}: ${message}`);
  printRow({ ...facts, arm: arm.name, error: message });
}

async function open(arm) {
  try {
    const { version } = await arm.open(Math.min(OPENING_SECONDS, left()));
    printRow({ arm: arm.name, version });
    return true;
  } catch (error) {
    fail(arm, {}, error);
    return false;
  }
}

/** The arms that can run a network, and how long they took to be ready for it. */
async function prepare(able, network, batch) {
  const ready = new Map();
  const parameters = new Set();
  for (const arm of able) {
    const start = performance.now();
    try {
      const request = { op: 'prepare', network, configuration: configurationOf(network), batch };
      const reply = await arm.ask(request, Math.min(PREPARING_SECONDS, Math.max(1, 0.6 * left())));
      parameters.add(reply.parameters);
      ready.set(arm, (performance.now() - start) / 1000);
    } catch (error) {
      fail(arm, { network, batch }, error);
    }
  }
  if (parameters.size > 1) throw new Error(`the engines' ${network} differ: ${[...parameters].join(', ')} parameters`);
  return ready;
}

async function compare(able, network, batch) {
  const ready = await prepare(able, network, batch);
  const times = new Map([...ready.keys()].map((arm) => [arm, []]));
  for (let round = 0; round < rounds; ++round) {
    const order = [...times.keys()];
    for (let i = 0; i < order.length; ++i) {
      // Every round starts with another arm.
      const arm = order[(round + i) % order.length];
      try {
        const reply = await arm.ask({ op: 'time', milliseconds: roundMilliseconds }, TIMING_SECONDS);
        times.get(arm)?.push(median(reply.milliseconds));
      } catch (error) {
        times.delete(arm);
        fail(arm, { network, batch }, error);
      }
    }
  }
  for (const [arm, values] of times) {
    const milliseconds = median(values);
    const preparedIn = Number(ready.get(arm).toFixed(1));
    printRow({ network, batch, arm: arm.name, milliseconds, fastest: Math.min(...values), rounds, preparedIn });
  }
}

try {
  if (peers.length === 0 && !selfTest) printRow({ arm: 'PyTorch', error: `left out: ${python?.why ?? 'no Python'}` });
  const opened = [];
  for (const arm of arms) if (await open(arm)) opened.push(arm);
  for (const [network, batch] of cases) {
    const able = opened.filter(({ ended }) => ended === null);
    if (able.length === 0) break;
    if (left() < 20) printRow({ network, batch, error: 'left out: no time' });
    else await compare(able, network, batch);
  }
} finally {
  for (const arm of arms) arm.close();
}
if (failures.length > 0) {
  console.error(failures[0].split('\n').at(-1));
  process.exitCode = 1;
}
