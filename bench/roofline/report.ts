// bench/roofline/README.md.
import { cards, findCard, type Card } from './cards.js';
import { kernelKinds } from './kernels.js';
import { computeBoundBatch, firstBatch, kernelsOfStep, stepCost, stepTime } from './model.js';
import type { NamedGraph, RooflineRow } from './rows.js';

/** Microseconds of host time that one launch is taken to cost outside of a graph. */
export const launchMicroseconds = 3;

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
  const header = ['network', 'batch', 'waits for bytes', ...kernelKinds];
  const rows = graphs.flatMap(({ network, nodes }) => {
    const kernels = kernelsOfStep(nodes, 'bf16');
    return batches.map((batch) => {
      const { memoryBound, shares } = stepTime(kernels, batch, card.ceiling);
      const ofKinds = kernelKinds.map((kind) => (100 * shares[kind]).toFixed(1));
      return [network, String(batch), percent(memoryBound), ...ofKinds];
    });
  });
  return markdownTable([header, ...rows]);
}

function orNone(batch: number | null): string {
  return batch === null ? 'none' : String(batch);
}

function boundsTable(graphs: readonly NamedGraph[]): string {
  const header = [
    'network',
    'launches',
    'their us',
    ...cards.flatMap(({ name }) => [`${name}, half`, `${name}, launches`]),
  ];
  const rows = graphs.map(({ network, nodes }) => {
    const kernels = kernelsOfStep(nodes, 'bf16');
    const host = launchMicroseconds * kernels.length;
    const ofCards = cards.flatMap(({ ceiling }) => [
      orNone(computeBoundBatch(kernels, ceiling)),
      orNone(firstBatch(kernels, ceiling, ({ seconds }) => 1e6 * seconds > host)),
    ]);
    return [network, String(kernels.length), String(host), ...ofCards];
  });
  return markdownTable([header, ...rows]);
}

function reading({ network, nodes }: NamedGraph, card: Card): string {
  const kernels = kernelsOfStep(nodes, 'bf16');
  const cost = stepCost(kernels, 1);
  const [one, many] = [stepTime(kernels, 1, card.ceiling), stepTime(kernels, 128, card.ceiling)];
  const passes = many.shares['group norm'] + many.shares['element-wise'] + many.shares.resample;
  return `- ${network}: at batch 1, ${percent(one.memoryBound)} % of the time goes to kernels that wait for bytes, and weights are ${percent(cost.weightBytes / cost.bytes)} % of
  all bytes. At batch 128 ${percent(many.memoryBound)} % wait for bytes: group norms, element-wise passes and enlargements are ${percent(passes)} %, most of the
  rest convolutions of 1 x 1.`;
}

/** The whole page. `rows` are those of every card, `batches` the rows' batches. */
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
its products or its bytes, whichever takes longer; a step takes the sum of its kernels. [roofline.json](roofline.json)
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

bf16 on the ${card.title} at the ceiling, % of the time of a step.

${sharesTable(graphs, batches, card)}

## Launches

Kernels of one step in bf16, and what launching them one by one costs the host at ${launchMicroseconds} us each (assumed, not measured; a call of
cuDNN costs more). "Half" is the smallest batch at which less than half of the time waits for bytes, "launches" the smallest
at which a step takes longer than its launches. CUDA graphs take most of that host time away, not the gaps between kernels.

${boundsTable(graphs)}

## Reading

On the ${card.title}, bf16, at the ceiling:

${graphs.map((graph) => reading(graph, card)).join('\n')}
- Group norms wait for bytes at every batch. So no batch makes a network bound by products alone: the share of waiting
  settles where weights no longer matter.
- In f32 without TF32 products run outside the tensor cores and set the time at every batch.
- Without graphs, batches below those of the last columns above are bound by launches, not by the card.

What the model leaves out, so that a measurement will be slower: maps too small to fill the card (a map of 16 x 16 pixels
and 256 channels is a handful of tiles for more than a hundred multiprocessors), starts and ends of kernels, plans of
cuDNN that take more than one kernel or leave a part of the epilogue to a further pass, and what our own kernels (products
of vectors, attention in f32 or with heads wider than 256 channels) read again from the cache. What it leaves out in the other
direction: at small batches maps stay in the second-level cache and never reach memory.
`;
}
