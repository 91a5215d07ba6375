import { DpmError } from '../../../base/errors.js';
import type { Shapes } from './shapes.js';
import type { TextEncoderForm } from './text-encoder-names.js';

/** Width of a head of all public encoders. */
const HEAD_WIDTH = 64;

const names = {
  transformers: {
    tokens: 'embeddings.token_embedding.weight',
    positions: 'embeddings.position_embedding.weight',
    layers: 'encoder.layers.',
    inner: 'encoder.layers.0.mlp.fc1.weight',
    activation: 'quick_gelu',
  },
  open_clip: {
    tokens: 'token_embedding.weight',
    positions: 'positional_embedding',
    layers: 'transformer.resblocks.',
    inner: 'transformer.resblocks.0.mlp.c_fc.weight',
    activation: 'gelu',
  },
} as const;

/**
 * Makes the configuration of a text encoder, in the fields of transformers, from the shapes of its tensors.
 *
 * @param mostLayers - Number of layers that are used of those that there are.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming a tensor that does not tell its part,
 * `ERR_DPM_CONFIG` for a width that has no heads of public encoders.
 */
export function textEncoderConfigOf(
  shapes: Shapes,
  form: TextEncoderForm,
  mostLayers: number,
): Record<string, unknown> {
  const own = names[form];
  const width = shapes.size(own.tokens, 1);
  if (width % HEAD_WIDTH !== 0) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `${shapes.path}: the text encoder has ${width} channels, which heads of ${HEAD_WIDTH} do not divide: give a folder by config or textEncoder`,
    );
  }
  return {
    hidden_size: width,
    num_attention_heads: width / HEAD_WIDTH,
    num_hidden_layers: Math.min(mostLayers, shapes.count(own.layers)),
    intermediate_size: shapes.size(own.inner, 0),
    hidden_act: own.activation,
    max_position_embeddings: shapes.size(own.positions, 0),
    vocab_size: shapes.size(own.tokens, 0),
    // The largest id is that of the end.
    eos_token_id: 2,
  };
}
