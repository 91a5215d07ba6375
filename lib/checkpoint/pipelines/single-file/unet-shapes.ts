import { at } from '../../../base/arrays.js';
import { DpmError } from '../../../base/errors.js';
import type { Preset } from './presets.js';
import type { Shapes } from './shapes.js';

interface Level {
  readonly width: number;
  readonly layers: number;
  /** Depth of the transformers on the way down and up; 0: none. */
  readonly down: number;
  readonly up: number;
}

function depthOf(shapes: Shapes, module: string): number {
  return shapes.count(`${module}.transformer_blocks.`);
}

/** Depth of the transformers of some blocks, which have to be alike. */
function commonDepth(shapes: Shapes, blocks: readonly string[]): number {
  const depths = blocks.map((block) => depthOf(shapes, `${block}.1`));
  const [first = 0] = depths;
  const other = depths.findIndex((depth) => depth !== first);
  if (other < 0) return first;
  throw new DpmError(
    'ERR_DPM_UNSUPPORTED',
    `${shapes.path}: transformers of ${first} and ${depths[other] ?? 0} blocks within one level (${at(blocks, other)}.1) are not supported`,
  );
}

/** Lists the blocks of each level on the way down, which a module `op` ends. */
function downBlocks(shapes: Shapes): string[][] {
  const levels: string[][] = [[]];
  const count = shapes.count('input_blocks.');
  for (let block = 1; block < count; ++block) {
    const name = `input_blocks.${block}`;
    if (shapes.has(`${name}.0.op`)) levels.push([]);
    else at(levels, levels.length - 1).push(name);
  }
  const empty = levels.findIndex((blocks) => blocks.length === 0);
  if (empty < 0) return levels;
  throw new DpmError('ERR_DPM_TENSOR_MISSING', `${shapes.path}: level ${empty} of the U-Net has no residual block`);
}

function readLevels(shapes: Shapes): Level[] {
  const down = downBlocks(shapes);
  // The last level comes first on the way up.
  let first = down.reduce((sum, blocks) => sum + blocks.length + 1, 0);
  return down.map((blocks) => {
    const layers = blocks.length;
    first -= layers + 1;
    const up = Array.from({ length: layers + 1 }, (_, j) => `output_blocks.${first + j}`);
    return {
      width: shapes.size(`${at(blocks, 0)}.0.out_layers.3.weight`, 0),
      layers,
      down: commonDepth(shapes, blocks),
      up: commonDepth(shapes, up),
    };
  });
}

/** Lists the heads of the levels, which are checked where they attend. */
function headsOf(shapes: Shapes, levels: readonly Level[], middle: number, heads: Preset['heads']): number[] {
  return levels.map(({ width, down, up }, i) => {
    if ('count' in heads) return heads.count;
    const attends = down > 0 || up > 0 || (i === levels.length - 1 && middle > 0);
    if (attends && width % heads.width !== 0) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `${shapes.path}: level ${i} of the U-Net has ${width} channels, which heads of ${heads.width} do not divide: say how many by config`,
      );
    }
    return Math.max(1, Math.floor(width / heads.width));
  });
}

function depths(shapes: Shapes, levels: readonly Level[], middle: number): Record<string, unknown> {
  const deepest = at(levels, levels.length - 1);
  const last = Math.max(deepest.down, deepest.up);
  if (middle > 0 && last > 0 && middle !== last) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${shapes.path}: a transformer of ${middle} blocks in the middle and of ${last} in the last level is not supported`,
    );
  }
  const own = levels.map(({ down, up }, i) => down || up || (i === levels.length - 1 ? middle : 0) || 1);
  const back = levels.map(({ up }, i) => up || at(own, i)).toReversed();
  const isMirrored = own.every((depth, i) => depth === at(back, levels.length - 1 - i));
  return {
    transformer_layers_per_block: own,
    ...(!isMirrored && { reverse_transformer_layers_per_block: back }),
  };
}

/** Reads what the network sees beside a text's tokens. */
function added(shapes: Shapes, { architecture, numberFeatures }: Preset): Record<string, unknown> {
  if (!shapes.has('label_emb')) return {};
  if (architecture !== 'sdxl' && architecture !== 'sdxl-refiner') {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${shapes.path} is an unCLIP U-Net (label_emb.*), which is not supported`,
    );
  }
  return {
    addition_embed_type: 'text_time',
    addition_time_embed_dim: numberFeatures,
    projection_class_embeddings_input_dim: shapes.size('label_emb.0.0.weight', 1),
  };
}

/** First attention to the context, of any block. */
function firstAttention(shapes: Shapes): string | null {
  const blocks = ['input_blocks', 'output_blocks'].flatMap((way) =>
    Array.from({ length: shapes.count(`${way}.`) }, (_, block) => `${way}.${block}.1`),
  );
  return ['middle_block.1', ...blocks].find((block) => depthOf(shapes, block) > 0) ?? null;
}

/**
 * Makes the configuration of a U-Net, in diffusers' fields, from the shapes of its tensors.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming a tensor that does not tell its part,
 * `ERR_DPM_UNSUPPORTED` or `ERR_DPM_CONFIG` for a network of another kind.
 */
export function unetConfigOf(shapes: Shapes, preset: Preset): Record<string, unknown> {
  const levels = readLevels(shapes);
  const middle = depthOf(shapes, 'middle_block.1');
  const attention = firstAttention(shapes);
  const types = (way: 'down' | 'up', name: string): string[] =>
    levels.map((level) => (level[way] > 0 ? `CrossAttn${name}` : name));
  return {
    in_channels: shapes.size('input_blocks.0.0.weight', 1),
    out_channels: shapes.size('out.2.weight', 0),
    conv_in_kernel: shapes.size('input_blocks.0.0.weight', 2),
    conv_out_kernel: shapes.size('out.2.weight', 2),
    block_out_channels: levels.map(({ width }) => width),
    layers_per_block: levels.map(({ layers }) => layers),
    down_block_types: types('down', 'DownBlock2D'),
    up_block_types: types('up', 'UpBlock2D').toReversed(),
    mid_block_type: shapes.has('middle_block') ? 'UNetMidBlock2DCrossAttn' : null,
    attention_head_dim: headsOf(shapes, levels, middle, preset.heads),
    ...depths(shapes, levels, middle),
    ...(attention !== null && {
      cross_attention_dim: shapes.size(`${attention}.transformer_blocks.0.attn2.to_k.weight`, 1),
      use_linear_projection: shapes.find(`${attention}.proj_in.weight`)?.length === 2,
    }),
    time_embedding_dim: shapes.size('time_embed.0.weight', 0),
    sample_size: preset.sampleSize,
    ...added(shapes, preset),
  };
}
