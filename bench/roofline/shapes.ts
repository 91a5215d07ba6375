// The shapes that the CUDA device asks cuDNN for (cuda/layers/convolution.cc and attention.cc).
import type { NativeMap, NativeNode } from '../../lib/engine/native-node.js';
import { cudaNodes, type CudaNode } from './fusion.js';
import { isLinear, isPrediction, paddedChannels } from './kernels.js';
import { elementBytes, storedPixelStride, type RooflineType } from './layout.js';

/** What a table says of itself: its networks, and the options that it is printed by. */
const comment = (networks: string, options: string): string =>
  `# Products of ${networks} in bf16 (npm run roofline -- ${options}). Rows of kind attention have, after ` +
  'their kind: heads, query_tokens, key_tokens, width, q_token_stride, k_token_stride, v_token_stride, ' +
  'out_token_stride, scale. Those of kind convolution:';

const columns = [
  'kind',
  'in_channels',
  'in_height',
  'in_width',
  'in_pixel_stride',
  'out_channels',
  'out_height',
  'out_width',
  'out_pixel_stride',
  'residual_pixel_stride',
  'kernel',
  'stride',
  'pad_before',
  'pad_after',
  'bias',
  'residual',
  'scale',
  'silu',
];

type Cell = string | number;

/** Tells whether cuDNN can be given the map's address: a multiple of 16 bytes, or of a pixel if that is less. */
function isAligned(map: NativeMap, type: RooflineType): boolean {
  const pixel = storedPixelStride(map, type) * elementBytes(type);
  return (map.firstChannel * elementBytes(type)) % Math.min(16, pixel & -pixel) === 0;
}

function convolutionRow(node: CudaNode, x: NativeMap, type: RooflineType): Cell[] | null {
  const { output } = node;
  const [, vector, residual] = node.inputs;
  const maps = residual === null ? [x, output] : [x, output, residual];
  if (!maps.every((map) => isAligned(map, type))) return null;
  const { inputs, outputs } = paddedChannels(node, type);
  // Work after a channel vector is not cuDNN's.
  const joins = vector === null;
  const joined = joins ? residual : null;
  return [
    'convolution',
    ...[inputs, x.height, x.width, storedPixelStride(x, type)],
    ...[outputs, output.height, output.width, storedPixelStride(output, type)],
    joined === null ? 1 : storedPixelStride(joined, type),
    ...[node.kernel, node.stride, node.padBefore, node.padAfter],
    ...[
      Number(node.bias && !node.biasInNorm),
      Number(joined !== null),
      joins ? node.scale : 1,
      Number(joins && node.silu),
    ],
  ];
}

function attentionRow(node: NativeNode, type: RooflineType): Cell[] | null {
  const maps = [...node.inputs, node.output].filter((map) => map !== null);
  if (!maps.every((map) => (map.firstChannel * elementBytes(type)) % 16 === 0)) return null;
  const width = node.output.channels / node.heads;
  const [, keys] = node.inputs;
  if (node.causal || keys === null) return null;
  const tokens = [node.output, keys].map(({ height, width: columns }) => height * columns);
  const strides = maps.map((map) => storedPixelStride(map, type));
  return ['attention', node.heads, ...tokens, width, ...strides, Math.fround(1 / Math.sqrt(width))];
}

function row(node: CudaNode, type: RooflineType): Cell[] | null {
  const [x] = node.inputs;
  if (node.op === 'attention') return attentionRow(node, type);
  if (node.op !== 'convolution' || x === null || isLinear(node) || isPrediction(node, type)) return null;
  return convolutionRow(node, x, type);
}

/** The distinct shapes of all graphs, in bf16, as the lines of a table with tabs. */
export function productShapes(
  graphs: readonly (readonly NativeNode[])[],
  networks = 'the benchmark networks',
  options = '--shapes',
): string {
  const rows = graphs
    .flatMap(cudaNodes)
    .map((node) => row(node, 'bf16'))
    .filter((cells) => cells !== null)
    .map((cells) => cells.join('\t'));
  return [comment(networks, options), columns.join('\t'), ...new Set(rows), ''].join('\n');
}
