// Finds the versions: card, driver, CUDA, cuDNN, PyTorch, processor. Keeps cuDNN's description of the card.
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';

import { devices } from '../../dist/index.js';
import { printRow, settings } from './settings.mjs';

function output(command, parameters) {
  const { status, stdout, stderr } = spawnSync(command, parameters, { encoding: 'utf8', timeout: 25_000 });
  return { text: status === 0 ? stdout.trim() : null, message: stderr?.trim() ?? '' };
}

function describeWithDriver() {
  const fields = ['name', 'driver_version', 'memory.total', 'power.limit', 'clocks.max.sm', 'clocks.max.mem'];
  const { text } = output('nvidia-smi', [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader', '--id=0']);
  if (text === null) return { card: null, driver: null };
  const [card, driver, memory, powerLimit, processorClock, memoryClock] = text.split(',').map((value) => value.trim());
  return { card, driver, memory, powerLimit, processorClock, memoryClock };
}

/** Writes CUDA's number of a version, major * 1000 + minor * 10, as text. */
const cudaVersion = (version) => `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
const cudnnVersion = (version) =>
  `${Math.floor(version / 10000)}.${Math.floor((version % 10000) / 100)}.${version % 100}`;

function describeWithCudnn() {
  if (settings.describeCard === '' || !existsSync(settings.describeCard)) return {};
  const { text, message } = output(settings.describeCard, []);
  if (text === null) return { noDescription: message };
  const { cudaDriver, cudaRuntime, cudnn, card } = JSON.parse(text);
  const name = (card.deviceName ?? 'card').replace(/[^A-Za-z0-9.-]+/g, '-');
  const description = `device-${name}.json`;
  writeFileSync(join(settings.out, description), `${JSON.stringify(card, null, 2)}\n`);
  return {
    cuda: cudaVersion(cudaRuntime),
    cudaOfDriver: cudaVersion(cudaDriver),
    cudnn: cudnnVersion(cudnn),
    description,
  };
}

const cuda = devices().find(({ name }) => name === 'cuda:0');
const { usable = false, description: device = '', reason = 'there is no plug-in' } = cuda ?? {};
const row = {
  ...describeWithDriver(),
  device,
  usable,
  reason,
  ...(usable ? describeWithCudnn() : {}),
  torch: settings.python?.torch ?? null,
  torchCuda: settings.python?.torchCuda ?? null,
  torchCudnn: settings.python?.torchCudnn ?? null,
  processor: cpus()[0]?.model ?? 'unknown',
  threads: availableParallelism(),
  node: process.version,
};
printRow(row);
// A card that cannot be used is a failure, but a missing card is not.
const isThere = row.card !== null || !/no NVIDIA driver|there is no card/.test(reason);
if (isThere && !usable) throw new Error(`the card cannot be used: ${reason}`);
if (row.noDescription !== undefined) throw new Error(`the card is not described: ${row.noDescription}`);
