import { at } from '../base/arrays.js';
import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import { arrayOf, kinds, objectOf, type OptionKinds } from '../base/option-kinds.js';
import type { ReadConditional } from '../checkpoint/pipelines/conditional.js';
import {
  isOfTextEncoder,
  textEncoderNames,
  textLayerNames,
  unetLayerNames,
} from '../checkpoint/pipelines/lora/layer-names.js';
import { withLoras, type GivenLora, type LoraTarget } from '../checkpoint/pipelines/lora/with-loras.js';
import type { ReadTextEncoder } from '../checkpoint/pipelines/text-encoder.js';
import { checkedFiles } from './load-options.js';

/** A file of low-rank additions to the weights of networks (LoRA). */
export interface LoraOptions {
  /** Path of the safetensors file, in the names of kohya's scripts, of PEFT, or of diffusers. */
  path: string;
  /** Factor of the additions; negative ones take away. Default 1. */
  scale?: number | undefined;
  /** True to leave out what fits no layer of the networks, as long as anything fits. Default false: that is an error. */
  allowPartial?: boolean | undefined;
}

/** Facts about each option of {@link LoraOptions}. @internal */
export const loraOptionFacts = {
  path: { kind: kinds.string, help: 'the safetensors file', value: 'FILE' },
  scale: { kind: kinds.finite, help: 'factor of the additions, negative ones take away', standard: 1, value: 'SCALE' },
  allowPartial: { kind: kinds.boolean, help: 'leaves out what fits no layer of the networks', standard: false },
} as const satisfies OptionFacts<LoraOptions>;

const loraKinds: OptionKinds<LoraOptions> = kindsOf<LoraOptions>(loraOptionFacts);

/** Defaults of {@link LoraOptions}. @internal */
export const loraDefaults = standardsOf(loraOptionFacts);

/** Kind of lists of files of low-rank additions, whose entries {@link checkedLoras} checks. @internal */
export const loraList = arrayOf('an array of { path, scale }', objectOf('{ path, scale }'));

/**
 * Checks the entries of a list, and copies them: files are read later, when the caller may have changed them.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the entry and its wrong option.
 */
export function checkedLoras(loras: readonly LoraOptions[]): GivenLora[] {
  return checkedFiles('loras', loras, loraKinds).map((lora) => {
    const { path, scale = loraDefaults.scale, allowPartial = loraDefaults.allowPartial } = lora;
    return { path, scale, allowPartial };
  });
}

/** Networks of a pipeline that low-rank additions are for, as they have been read. */
export interface ReadPrompted {
  readonly unet: ReadConditional;
  readonly encoders: readonly ReadTextEncoder[];
}

function unetTarget({ description, checkpoint }: ReadConditional): LoraTarget {
  return { checkpoint, names: unetLayerNames(description, checkpoint) };
}

/** Gives what was read with another checkpoint; the same object for the same checkpoint. */
function replaced<T extends { readonly checkpoint: unknown }>(read: T, checkpoint: T['checkpoint']): T {
  return checkpoint === read.checkpoint ? read : { ...read, checkpoint };
}

/**
 * Adds files to a U-Net and text encoders, which are returned as they were given where nothing is added.
 *
 * @throws {@link DpmError} naming the file and its wrong tensor.
 */
export async function promptedWithLoras(
  { unet, encoders }: ReadPrompted,
  loras: readonly GivenLora[],
): Promise<ReadPrompted> {
  const ofEncoders = encoders.map(({ checkpoint }, i): LoraTarget => {
    return { checkpoint, names: textLayerNames(at(textEncoderNames, i), checkpoint) };
  });
  const [first, ...others] = await withLoras([unetTarget(unet), ...ofEncoders], loras);
  return {
    unet: replaced(unet, first ?? unet.checkpoint),
    encoders: encoders.map((read, i) => replaced(read, at(others, i))),
  };
}

/** Adds files to a lone U-Net; what they have for text encoders is left out. @throws {@link DpmError} as for pipelines. */
export async function unetWithLoras(unet: ReadConditional, loras: readonly GivenLora[]): Promise<ReadConditional> {
  const [checkpoint] = await withLoras([unetTarget(unet)], loras, isOfTextEncoder);
  return replaced(unet, checkpoint ?? unet.checkpoint);
}
