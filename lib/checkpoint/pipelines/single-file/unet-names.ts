import { at } from '../../../base/arrays.js';
import type { ConditionalDescription, ConditionalLevel } from '../../../network/conditional-description.js';

/** Modules outside of the levels, by diffusers' names and by the original's. */
const modules: ReadonlyMap<string, string> = new Map([
  ['conv_in', 'input_blocks.0.0'],
  ['conv_norm_out', 'out.0'],
  ['conv_out', 'out.2'],
  ['time_embedding.linear_1', 'time_embed.0'],
  ['time_embedding.linear_2', 'time_embed.2'],
  ['add_embedding.linear_1', 'label_emb.0.0'],
  ['add_embedding.linear_2', 'label_emb.0.2'],
]);

const residualParts: ReadonlyMap<string, string> = new Map([
  ['norm1', 'in_layers.0'],
  ['conv1', 'in_layers.2'],
  ['time_emb_proj', 'emb_layers.1'],
  ['norm2', 'out_layers.0'],
  ['conv2', 'out_layers.3'],
  ['conv_shortcut', 'skip_connection'],
]);

const levelModule = /^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)$/;
const middleModule = /^mid_block\.(resnets|attentions)\.(\d+)\.(.+)$/;

/** Number of blocks of the original before those of a level: one for each residual block, and one more. */
function blocksBefore(levels: readonly ConditionalLevel[], count: number): number {
  return levels.slice(0, count).reduce((sum, { layers }) => sum + layers + 1, 0);
}

function residualPart(rest: string): string {
  const end = rest.lastIndexOf('.');
  const part = rest.slice(0, end);
  return `${residualParts.get(part) ?? part}${rest.slice(end)}`;
}

function inLevel(
  levels: readonly ConditionalLevel[],
  [, way = '', block = '', kind = '', layer = '', rest = '']: RegExpExecArray,
): string {
  const isDown = way === 'down';
  const i = Number(block);
  const ordered = isDown ? levels : levels.toReversed();
  const first = (isDown ? 1 : 0) + blocksBefore(ordered, i);
  const { layers, depthUp } = at(ordered, i);
  const blocks = isDown ? 'input_blocks' : 'output_blocks';
  switch (kind) {
    case 'resnets':
      return `${blocks}.${first + Number(layer)}.0.${residualPart(rest)}`;
    case 'attentions':
      return `${blocks}.${first + Number(layer)}.1.${rest}`;
    case 'downsamplers':
      return `${blocks}.${first + layers}.0.${rest.replace(/^conv\./, 'op.')}`;
    default:
      return `${blocks}.${first + layers}.${depthUp > 0 ? 2 : 1}.${rest}`;
  }
}

/** Finds the original's name of a weight of a conditional U-Net, without what files put before it. */
export function originalUNetName({ levels }: ConditionalDescription, name: string): string {
  const level = levelModule.exec(name);
  if (level !== null) return inLevel(levels, level);
  const middle = middleModule.exec(name);
  if (middle !== null) {
    const [, kind = '', index = '', rest = ''] = middle;
    return kind === 'attentions' ? `middle_block.1.${rest}` : `middle_block.${2 * Number(index)}.${residualPart(rest)}`;
  }
  const end = name.lastIndexOf('.');
  const known = modules.get(name.slice(0, end));
  return known === undefined ? name : `${known}${name.slice(end)}`;
}
