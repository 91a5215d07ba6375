import { DpmError } from '../../../base/errors.js';

/** What a tensor is of the additions to one layer. */
export type AdditionPart = 'down' | 'up' | 'mid' | 'alpha';

/** Ends of names by what the tensor is: those of kohya, of PEFT, and of diffusers' attention processors and layers. */
const endings: readonly (readonly [part: AdditionPart, ending: RegExp])[] = [
  ['down', /(\.lora_down|\.lora_A|\.lora_A\.default|\.lora\.down|_lora\.down|\.lora_linear_layer\.down)\.weight$/],
  ['up', /(\.lora_up|\.lora_B|\.lora_B\.default|\.lora\.up|_lora\.up|\.lora_linear_layer\.up)\.weight$/],
  ['mid', /\.lora_mid\.weight$/],
  ['alpha', /\.alpha$/],
];

/** Ends of names of other methods than a product of low rank. */
const otherMethods: readonly (readonly [method: string, ending: RegExp])[] = [
  ['DoRA', /\.(dora_scale|lora_magnitude_vector(\.\w+)*)$/],
  ['LoHa', /\.hada_\w+$/],
  ['LoKr', /\.lokr_\w+$/],
  ['whole differences of weights', /\.(diff|diff_b|w_norm|b_norm)$/],
  ['OFT', /\.oft_\w+$/],
  ['IA3', /\.on_input$/],
  ['additions to biases', /\.lora_(B|up)(\.default)?\.bias$/],
];

/**
 * Divides a tensor's name into that of its layer and what it is of the layer's addition; null: it is of no addition.
 *
 * @param path - File, for messages.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming the tensor of another method.
 */
export function additionPart(path: string, name: string): { layer: string; part: AdditionPart } | null {
  const [method] = otherMethods.find(([, ending]) => ending.test(name)) ?? [];
  if (method !== undefined) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${path}: tensor '${name}' is one of ${method}, which is not supported`);
  }
  for (const [part, ending] of endings) {
    const found = ending.exec(name);
    if (found !== null) return { layer: name.slice(0, found.index), part };
  }
  return null;
}
