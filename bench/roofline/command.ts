import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { loadableNetwork } from '../../lib/checkpoint/model-folder.js';
import { readModelFolder } from '../../lib/checkpoint/read-model.js';
import { benchNetworks } from '../../lib/cli/bench/networks.js';
import { type Call, type Command } from '../../lib/cli/command.js';
import { usageError } from '../../lib/cli/usage-error.js';
import { printJson, printLine, printTable } from '../../lib/cli/output.js';
import { Device } from '../../lib/engine/device.js';
import type { UNetDescription } from '../../lib/network/description.js';
import { cards, findCard } from './cards.js';
import { graphOf } from './graph.js';
import { latentNodes } from './latents.js';
import { rooflineTypes, type RooflineType } from './layout.js';
import { kernelBytes, kernelsOfStep, kernelTime } from './model.js';
import { rooflineReport } from './report.js';
import { rooflineRows, type NamedGraph, type RooflineChoice, type RooflineRow } from './rows.js';
import { productShapes } from './shapes.js';

const defaultBatches = [1, 16, 128];

async function descriptionOf(name: string): Promise<UNetDescription> {
  const known = benchNetworks[name];
  return known?.unet ?? (await loadableNetwork(await readModelFolder(name), null)).unet;
}

/** Calls a function with a device on which graphs are fused. */
async function onDevice<T>(work: (device: Device) => Promise<T>): Promise<T> {
  // Fusion depends on the device, not on the algorithms that `exact` excludes and that take long to pack weights for.
  const device = Device.open({ device: 'cpu', exact: true });
  try {
    return await work(device);
  } finally {
    await device.close();
  }
}

/** The graphs of named configurations or model folders. */
export function rooflineGraphs(names: readonly string[]): Promise<NamedGraph[]> {
  return onDevice(async (device) => {
    const graphs: NamedGraph[] = [];
    for (const network of names) graphs.push({ network, nodes: await graphOf(device, await descriptionOf(network)) });
    return graphs;
  });
}

function chosenTypes(call: Call): readonly RooflineType[] {
  const names = call.options.string('dtype')?.split(',') ?? ['bf16'];
  return names.map((name) => {
    const found = rooflineTypes.find((each) => each === name);
    if (found === undefined) throw usageError(`--dtype has '${name}', known: ${rooflineTypes.join(', ')}`);
    return found;
  });
}

function choiceOf(call: Call): RooflineChoice {
  const batches = call.options.numbers('batch') ?? defaultBatches;
  if (!batches.every((batch) => Number.isInteger(batch) && batch > 0)) {
    throw usageError('--batch has to be positive integers separated by commas');
  }
  return {
    types: chosenTypes(call),
    batches,
    cards: call.options.string('card')?.split(',').map(findCard) ?? cards,
  };
}

function printRows(rows: readonly RooflineRow[], { cards: chosen }: RooflineChoice): void {
  printLine('a model and no measurement: per kernel the longest of FLOP, bytes, instructions and what a node takes');
  printTable([
    [
      'network',
      'dtype',
      'batch',
      'nodes',
      'GFLOP',
      'MB',
      ...chosen.flatMap(({ name }) => [`${name} us`, '% bytes', '% nodes']),
    ],
    ...rows.map((row) => [
      row.network,
      row.dtype,
      String(row.batch),
      String(row.launches),
      (row.flops / 1e9).toFixed(1),
      (row.bytes / 1e6).toFixed(0),
      ...row.cards.flatMap((time) => [
        time.microseconds.toFixed(0),
        (100 * time.bytes).toFixed(0),
        (100 * time.nodes).toFixed(0),
      ]),
    ]),
  ]);
}

/** Lists every kernel at the first type, batch and card that were chosen. */
function printKernels({ network, nodes }: NamedGraph, { types, batches, cards: chosen }: RooflineChoice): void {
  const [type = 'bf16', batch = 1, card = findCard('h100')] = [types[0], batches[0], chosen[0]];
  printLine(`${network}, ${type}, batch ${batch}, ${card.title}, by kernel:`);
  printTable([
    ['kernel', 'kind', 'GFLOP', 'MB', 'us', 'waits for'],
    ...kernelsOfStep(nodes, type, batch).map((kernel) => {
      const { seconds, limit } = kernelTime(kernel, batch, card);
      return [
        kernel.name,
        kernel.kind,
        ((batch * kernel.flops) / 1e9).toFixed(3),
        (kernelBytes(kernel, batch) / 1e6).toFixed(3),
        (1e6 * seconds).toFixed(2),
        limit,
      ];
    }),
  ]);
}

/** Writes README.md and roofline.json for every type, batch and card. */
export function rooflineFiles(graphs: readonly NamedGraph[]): { readme: string; json: string } {
  const rows = rooflineRows(graphs, { types: rooflineTypes, batches: defaultBatches, cards });
  return { readme: rooflineReport(graphs, rows, defaultBatches), json: `${JSON.stringify(rows, null, 2)}\n` };
}

async function writeReport(folder: string, graphs: readonly NamedGraph[]): Promise<void> {
  const { readme, json } = rooflineFiles(graphs);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'README.md'), readme);
  await writeFile(join(folder, 'roofline.json'), json);
}

/** Computes the least time of a step on a card, from its kernels' FLOPs and bytes; no card is needed. */
async function benchRoofline(call: Call): Promise<void> {
  const choice = choiceOf(call);
  if (call.options.flag('latents')) {
    const nodes = await onDevice(latentNodes);
    process.stdout.write(productShapes(nodes, 'Stable Diffusion 1.5 at 512 x 512', '--latents'));
    return;
  }
  const graphs = await rooflineGraphs(call.options.string('network')?.split(',') ?? Object.keys(benchNetworks));
  const folder = call.options.string('report');
  if (folder !== undefined) {
    await writeReport(folder, graphs);
    return;
  }
  if (call.options.flag('shapes')) {
    process.stdout.write(productShapes(graphs.map(({ nodes }) => nodes)));
    return;
  }
  const rows = rooflineRows(graphs, choice);
  if (call.json) {
    for (const row of rows) printJson({ benchmark: 'roofline', ...row });
    return;
  }
  printRows(rows, choice);
  if (call.options.flag('profile')) for (const graph of graphs) printKernels(graph, choice);
}

export const rooflineCommand: Command = {
  name: 'roofline',
  summary: 'How long an evaluation takes a card at least: a model of the CUDA device, which needs none.',
  arguments: [],
  options: {
    network: {
      value: 'NAMES',
      help: `${Object.keys(benchNetworks).join(', ')} or model folders; default all of these`,
    },
    dtype: { value: 'TYPES', help: `${rooflineTypes.join(', ')}, separated by commas; default bf16` },
    batch: { value: 'SIZES', help: `batch sizes separated by commas; default ${defaultBatches.join(',')}` },
    card: { value: 'NAMES', help: 'a100, h100, h200, separated by commas; default all' },
    profile: { help: 'also list every kernel, at the first type, batch size and card' },
    shapes: { help: 'print the convolutions and attentions that cuDNN is asked for in bf16 instead' },
    latents: { help: 'print those of Stable Diffusion 1.5 at 512 x 512; takes 4 GB of memory' },
    report: { value: 'FOLDER', help: 'write README.md and roofline.json of everything there instead' },
  },
  run: benchRoofline,
};
