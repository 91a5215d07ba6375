import type { ConditionalDescription } from '../../../network/conditional-description.js';
import type { Checkpoint } from '../../checkpoint.js';
import { isOfUNet } from '../conditional.js';
import { originalUNetName } from '../single-file/unet-names.js';
import { tokenTable } from '../text-encoder.js';

/** Weights of a network by the names that files of low-rank additions have for their layers. */
export type LayerNames = ReadonlyMap<string, string>;

/** Tables of embeddings, which are no layers. */
const tables = [tokenTable, 'embeddings.position_embedding.weight'];

/** Lists the layers of a network whose weights are matrices or kernels, without `.weight`; no variance heads, no ControlNets. */
function layersOf({ tensors }: Checkpoint): string[] {
  const isLayer = (name: string): boolean => !tables.includes(name) && isOfUNet(name);
  return [...tensors].flatMap(([name, { shape }]) =>
    name.endsWith('.weight') && (shape.length === 2 || shape.length === 4) && isLayer(name)
      ? [name.slice(0, -'.weight'.length)]
      : [],
  );
}

/** Names of layers as keys of modules that may hold no dots. */
const underscored = (name: string): string => name.replaceAll('.', '_');

/** Puts the names of each layer into a table. */
function tableOf(layers: readonly string[], namesOf: (layer: string) => readonly string[]): LayerNames {
  const table = new Map<string, string>();
  for (const layer of layers) {
    for (const name of namesOf(layer)) table.set(name, `${layer}.weight`);
  }
  return table;
}

/** Lists the names of layers of a conditional U-Net: by diffusers' paths, by the original's, by those of processors. */
export function unetLayerNames(description: ConditionalDescription, checkpoint: Checkpoint): LayerNames {
  return tableOf(layersOf(checkpoint), (layer) => {
    const original = originalUNetName(description, `${layer}.weight`).slice(0, -'.weight'.length);
    // The processor of an attention held its additions, and had one output.
    const processor = layer.replace(
      /\.(to_[qkv]|to_out\.0)$/,
      (_, part: string) => `.processor.${part.replace('.0', '')}`,
    );
    const dotted = [layer, processor, layer.replace(/\.to_out\.0$/, '.to_out')];
    return [
      `lora_unet_${underscored(layer)}`,
      `lora_unet_${underscored(original)}`,
      ...dotted.flatMap((name) => [`unet.${name}`, name]),
    ];
  });
}

/** Names of a text encoder in files: in kohya's, and in those of PEFT and diffusers. */
export interface TextEncoderNames {
  readonly underscored: readonly string[];
  readonly dotted: string;
}

/** Names of the text encoders of a pipeline in their order. */
export const textEncoderNames: readonly TextEncoderNames[] = [
  { underscored: ['lora_te', 'lora_te1'], dotted: 'text_encoder' },
  { underscored: ['lora_te2'], dotted: 'text_encoder_2' },
];

/** Names of an attention's projections as its processor had them. */
const processorParts: Readonly<Record<string, string>> = {
  q_proj: 'to_q',
  k_proj: 'to_k',
  v_proj: 'to_v',
  out_proj: 'to_out',
};

/** Lists the names of layers of a text encoder. */
export function textLayerNames(names: TextEncoderNames, checkpoint: Checkpoint): LayerNames {
  return tableOf(layersOf(checkpoint), (layer) => {
    const processor = layer.replace(/\.(q|k|v|out)_proj$/, (part) => `.${processorParts[part.slice(1)] ?? ''}`);
    // Some releases of the library have no inner model.
    const dotted = [layer, processor].flatMap((name) => [`text_model.${name}`, name]);
    return [
      ...names.underscored.flatMap((prefix) => dotted.map((name) => `${prefix}_${underscored(name)}`)),
      ...dotted.map((name) => `${names.dotted}.${name}`),
    ];
  });
}

/** Tells whether a layer is one of a text encoder, by its name. */
export function isOfTextEncoder(layer: string): boolean {
  return /^(lora_te[12]?_|text_encoder(_2)?\.)/.test(layer);
}
