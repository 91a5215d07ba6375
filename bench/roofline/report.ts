// Writes bench/roofline/README.md.
import { cards, findCard, type Card } from './cards.js';
import { kernelKinds, type Kernel } from './kernels.js';
import { kernelsOfStep, nodeSeconds, stepCost, stepTime, type StepTime } from './model.js';
import type { NamedGraph, RooflineRow } from './rows.js';

type StepReading = StepTime & { kernels: readonly Kernel[] };

function markdownTable(rows: readonly (readonly string[])[]): string {
  const [header = [], ...body] = rows;
  const widths = header.map((_, i) => Math.max(3, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

function percent(share: number): string {
  return (100 * share).toFixed(0);
}

function microseconds(value: number): string {
  return value.toFixed(0);
}

function ratesTable(): string {
  const rates = ({ bf16, tf32, f32, bytes }: Card['sheet']): string[] => [
    ...[bf16, tf32, f32].map((each) => (each / 1e12).toFixed(1)),
    (bytes / 1e12).toFixed(2),
  ];
  const header = ['card', 'rates', 'bf16, TFLOP/s', 'tf32', 'f32', 'TB/s'];
  const rows = cards.flatMap(({ title, sheet, ceiling }) => [
    [title, 'sheet', ...rates(sheet)],
    [title, 'ceiling', ...rates(ceiling)],
  ]);
  return markdownTable([header, ...rows]);
}

function timesTable(rows: readonly RooflineRow[]): string {
  const header = ['network', 'dtype', 'batch', 'TFLOP', 'MB', ...cards.map(({ title }) => `${title}, us`)];
  const body = rows.map((row) => [
    row.network,
    row.dtype,
    String(row.batch),
    (row.flops / 1e12).toPrecision(4),
    microseconds(row.bytes / 1e6),
    ...row.cards.map((time) => `${microseconds(time.sheetMicroseconds)} / ${microseconds(time.microseconds)}`),
  ]);
  return markdownTable([header, ...body]);
}

function sharesTable(graphs: readonly NamedGraph[], batches: readonly number[], card: Card): string {
  const header = ['network', 'batch', 'bytes', 'instructions', 'node', ...kernelKinds];
  const rows = graphs.flatMap(({ network, nodes }) =>
    batches.map((batch) => {
      const { limits, shares } = stepTime(kernelsOfStep(nodes, 'bf16', batch), batch, card);
      const ofLimits = [limits.bytes, limits.instructions, limits.node].map(percent);
      const ofKinds = kernelKinds.map((kind) => (100 * shares[kind]).toFixed(1));
      return [network, String(batch), ...ofLimits, ...ofKinds];
    }),
  );
  return markdownTable([header, ...rows]);
}

function nodesTable(graphs: readonly NamedGraph[], batches: readonly number[]): string {
  const header = ['network', ...batches.map((batch) => `batch ${batch}`)];
  const rows = graphs.map(({ network, nodes }) => [
    network,
    ...batches.map((batch) => String(kernelsOfStep(nodes, 'bf16', batch).length)),
  ]);
  return markdownTable([header, ...rows]);
}

function reading({ network, nodes }: NamedGraph, card: Card): string {
  const at = (batch: number): StepReading => {
    const kernels = kernelsOfStep(nodes, 'bf16', batch);
    return { kernels, ...stepTime(kernels, batch, card) };
  };
  const [few, many] = [at(1), at(128)];
  const cost = stepCost(few.kernels, 1);
  const passes = many.shares['group norm'] + many.shares['element-wise'] + many.shares.resample;
  return `- ${network}: at batch 1 ${few.kernels.length} nodes, of which those that take no longer than a node does are ${percent(few.limits.node)} % of the
  time; weights are ${percent(cost.weightBytes / cost.bytes)} % of all bytes. At batch 128 ${percent(many.limits.bytes)} % of the time wait for bytes and ${percent(many.limits.instructions)} % for instructions: group norms,
  element-wise passes and enlargements are ${percent(passes)} %.`;
}

/** The whole page. `rows` has the rows of every card, `batches` their batches. */
export function rooflineReport(
  graphs: readonly NamedGraph[],
  rows: readonly RooflineRow[],
  batches: readonly number[],
): string {
  const card = findCard('h100');
  return `# Roofline of the CUDA device

This is a model and no measurement: nothing on this page has run on a GPU. It was written by

\`\`\`sh
npm run roofline -- --report bench/roofline
\`\`\`

which loads the graph of every benchmark network, fused as the CUDA device with cuDNN fuses it, and lists the kernels of
one step of a trajectory: choice of the step's records, network evaluation, fused update. A kernel takes as long as
its products, its bytes, its instructions or any node of a graph takes, whichever is longest; a step takes the sum of its kernels. [roofline.json](roofline.json)
holds the rows. \`npm run roofline -- --network NAME --batch 1,64 --dtype tf32 --card h200\` prints others.

## Rates

"Sheet" is the vendor's data sheet, without sparsity. "Ceiling" is what large bfloat16 products and copies have been
measured to reach on an H100 (790 TFLOP/s, 3.0 TB/s) and on an H200 (785, 4.3), not by this program. The ceilings for tf32
and f32 are their sheet in the proportion of bf16, those of the A100 its sheet in the proportions of the H100: these are
guesses.

${ratesTable()}

## Times

One step of a batch; sheet / ceiling. FLOP are two per multiply-add of the network; time is also charged for channels that
are only padding. MB are those of all kernels.

${timesTable(rows)}

## Where the time goes

bf16 on the ${card.title} at the ceiling, % of the time of a step: in kernels that wait for bytes, for instructions, that take as long
as any node does; and by kind.

${sharesTable(graphs, batches, card)}

## Nodes

Kernels of one step in bf16, each a node of the step's graph. At small batches a convolution takes over the norm before it.

${nodesTable(graphs, batches)}

## Reading

On the ${card.title}, bf16, at the ceiling:

${graphs.map((graph) => reading(graph, card)).join('\n')}
- In f32 without TF32 products run outside the tensor cores and set the time at every batch.

What is assumed: a node takes ${(1e6 * nodeSeconds).toFixed(1)} us at least; a product has tiles of 128 x 128, one a multiprocessor at a time, and a convolution
reaches 85 % of the rate of large products when all of these are at work; instructions are those of our kernels' machine code, four a
cycle and multiprocessor. What the model leaves out, so that a measurement will be slower: starts and ends of kernels, plans of
cuDNN that copy an input which lies inside a wider map, and what our own kernels read again from the cache. What it leaves out in the
other direction: at small batches maps stay in the second-level cache and never reach memory, shortcuts run beside their blocks.
`;
}
