import type { TextEncoderDescription } from '../../../network/text-encoder.js';
import type { TensorSource } from '../../tensor-source.js';

/** Form of a text encoder's names: that of transformers, with or without a prefix, or that of open_clip. */
export type TextEncoderForm = 'transformers' | 'open_clip';

const modules: ReadonlyMap<string, string> = new Map([
  ['layer_norm1', 'ln_1'],
  ['layer_norm2', 'ln_2'],
  ['self_attn.out_proj', 'attn.out_proj'],
  ['mlp.fc1', 'mlp.c_fc'],
  ['mlp.fc2', 'mlp.c_proj'],
]);

const outside: ReadonlyMap<string, string> = new Map([
  ['embeddings.token_embedding.weight', 'token_embedding.weight'],
  ['embeddings.position_embedding.weight', 'positional_embedding'],
  ['final_layer_norm.weight', 'ln_final.weight'],
  ['final_layer_norm.bias', 'ln_final.bias'],
]);

const parts: Readonly<Record<string, number>> = { q: 0, k: 1, v: 2 };

/** Finds a part of open_clip's queries, keys and values, which lie one after the other in one tensor. */
function fused(layer: string, part: string, kind: string, width: number): TensorSource {
  const rows = (parts[part] ?? 0) * width;
  const key = `${layer}.attn.in_proj_${kind}`;
  if (kind === 'bias') return { key, shape: [3 * width], view: { offset: rows, dims: [width], strides: [1] } };
  const view = { offset: rows * width, dims: [width, width], strides: [width, 1] };
  return { key, shape: [3 * width, width], view };
}

/** Finds a weight of a text encoder among tensors with open_clip's names. */
export function openClipSource(
  { width }: Pick<TextEncoderDescription, 'width'>,
  name: string,
  [rows = 0, columns = 0]: readonly number[],
): TensorSource {
  if (name === 'text_projection.weight') {
    const view = { offset: 0, dims: [rows, columns], strides: [1, rows] };
    return { key: 'text_projection', shape: [columns, rows], view };
  }
  const [, index = '', module = '', kind = ''] = /^encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
  const layer = `transformer.resblocks.${index}`;
  const [, part] = /^self_attn\.([qkv])_proj$/.exec(module) ?? [];
  if (part !== undefined) return fused(layer, part, kind, width);
  return { key: outside.get(name) ?? `${layer}.${modules.get(module) ?? module}.${kind}` };
}
