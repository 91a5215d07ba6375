import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadableNetwork } from '../../checkpoint/model-folder.js';
import { readModelFolder } from '../../checkpoint/read-model.js';
import { Device } from '../../engine/device.js';
import { Network } from '../../engine/network.js';
import { writeSafetensors } from '../../files/tensor-data.js';
import { type Call } from '../command.js';
import { usageError } from '../usage-error.js';
import { loadOptions } from '../model-options.js';
import { printJson, printLine, printTable } from '../output.js';
import { type BenchNetwork, benchNetworks } from './networks.js';
import { randomTensors } from './random-network.js';
import { Timings } from './timing.js';
import { benchDefaults } from './settings.js';

const ROUNDS = 7;

/** Parts of loading a network, in the order in which they happen. */
const parts = ['configuration', 'plan', 'read', 'pack', 'rest'] as const;

type Part = (typeof parts)[number];

interface Measurement {
  network: string;
  /** Median milliseconds of a whole load. */
  milliseconds: number;
  fastest: number;
  /** Median milliseconds of each part. */
  parts: Record<Part, number>;
  parameters: number;
  weightBytes: number;
}

/** Writes a network with random weights as a folder of diffusers. */
async function writeFolder(folder: string, name: string, { unet, diffusers }: BenchNetwork): Promise<void> {
  if (diffusers === null) throw usageError(`bench load takes no '${name}', which is no network of diffusers`);
  const [network, scheduler] = [join(folder, 'unet'), join(folder, 'scheduler')];
  for (const made of [network, scheduler]) await mkdir(made);
  await writeFile(join(scheduler, 'scheduler_config.json'), JSON.stringify({ _class_name: 'DDPMScheduler' }));
  await writeFile(join(network, 'config.json'), JSON.stringify(diffusers));
  const tensors = Object.fromEntries([...randomTensors(unet)].map(({ name: tensor, ...rest }) => [tensor, rest]));
  await writeSafetensors(join(network, 'diffusion_pytorch_model.safetensors'), tensors);
}

async function loadOnce(device: Device, folder: string, signal: AbortSignal) {
  const start = performance.now();
  const { unet, graph } = await loadableNetwork(await readModelFolder(folder), null);
  const configuration = performance.now() - start;
  const network = await Network.load(device, unet, graph, { signal });
  const total = performance.now() - start;
  const { planMilliseconds: plan, readMilliseconds: read, packMilliseconds: pack } = network.native.info;
  const { parameters, weightBytes } = network.info;
  await network.close();
  const rest = total - configuration - plan - read - pack;
  return { total, parameters, weightBytes, configuration, plan, read, pack, rest };
}

async function measure(device: Device, network: string, folder: string, signal: AbortSignal): Promise<Measurement> {
  const { parameters, weightBytes } = await loadOnce(device, folder, signal);
  const rounds: Awaited<ReturnType<typeof loadOnce>>[] = [];
  for (let round = 0; round < ROUNDS; ++round) rounds.push(await loadOnce(device, folder, signal));
  const median = (of: (round: (typeof rounds)[number]) => number) => new Timings(rounds.map(of)).median;
  const each = Object.fromEntries(parts.map((part) => [part, median((round) => round[part])]));
  return {
    network,
    milliseconds: median(({ total }) => total),
    fastest: Math.min(...rounds.map(({ total }) => total)),
    parts: each as Record<Part, number>,
    parameters,
    weightBytes,
  };
}

async function measureNamed(device: Device, name: string, signal: AbortSignal): Promise<Measurement> {
  const known = Object.hasOwn(benchNetworks, name) ? benchNetworks[name] : undefined;
  if (known === undefined) return measure(device, name, name, signal);
  const folder = await mkdtemp(join(tmpdir(), 'dpm-bench-'));
  try {
    await writeFolder(folder, name, known);
    return await measure(device, name, folder, signal);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Times loading networks from files that the system has in memory, part by part. */
export async function benchLoad(call: Call): Promise<void> {
  const networks = call.options.string('network')?.split(',') ?? benchDefaults.networks;
  const device = Device.open(loadOptions(call.options));
  try {
    const rows: Measurement[] = [];
    for (const name of networks) rows.push(await measureNamed(device, name, call.signal));
    const { name, threads } = device;
    if (call.json) {
      printJson({ benchmark: 'load', device: name, threads, rows });
      return;
    }
    printLine(`${name}: ${device.description}; ${threads} threads, files in the system's memory`);
    printTable([
      ['network', 'ms', 'fastest', ...parts, 'M parameters', 'weights, MB'],
      ...rows.map((row) => [
        row.network,
        row.milliseconds.toFixed(0),
        row.fastest.toFixed(0),
        ...parts.map((part) => row.parts[part].toFixed(1)),
        (row.parameters / 1e6).toFixed(1),
        (row.weightBytes / 1e6).toFixed(0),
      ]),
    ]);
  } finally {
    await device.close();
  }
}
