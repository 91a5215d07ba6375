import { at } from '../base/arrays.js';
import { requireRoom } from '../base/memory-budget.js';
import type { HeadName } from '../checkpoint/heads.js';
import { scalesOf } from './conditional-inputs.js';
import type { ConditionalUNet } from './conditional-unet.js';
import type { GenerateCall } from './resolve-call.js';
import { KnownPrompts } from './known-prompts.js';
import type { PromptedSample } from './prompted-network.js';
import type { PromptEncoders, PromptText } from './prompts.js';

/** What texts are encoded with. */
export interface Prompting {
  readonly encoders: PromptEncoders;
  readonly unet: ConditionalUNet;
  /** True if an absent negative prompt is zeros, not the empty text. */
  readonly zerosForNone: boolean;
}

/** What a sample is evaluated with: texts, or zeros of as many tokens as its prompt has. */
interface Wanted {
  readonly positive: PromptText;
  readonly negative: PromptText | 'zeros' | null;
  readonly guidance: number;
}

/**
 * Number of evaluations that a sample with this weight takes in a step, as diffusers counts them: it is led away from something
 * by weights above 1 alone, and a network that sees the weight is guided by it in one evaluation.
 */
export function rowsOfPrompt({ seesGuidance }: Pick<ConditionalUNet, 'seesGuidance'>, weight: number): 1 | 2 {
  return weight > 1 && !seesGuidance ? 2 : 1;
}

function wantedOf(
  sample: number,
  { unet, zerosForNone }: Prompting,
  { prompts, negatives, guidance, isChunked }: GenerateCall,
  chunkCount: (text: string) => number,
): Wanted {
  const text = at(prompts, sample);
  const weight = at(guidance, sample);
  const isGuided = rowsOfPrompt(unet, weight) === 2;
  const hasZeros = isGuided && negatives === null && zerosForNone;
  const other = isGuided && !hasZeros ? (negatives?.[sample] ?? '') : null;
  const counted = other === null ? [text] : [text, other];
  const chunks = isChunked ? Math.max(...counted.map(chunkCount)) : null;
  const negative = hasZeros ? 'zeros' : other === null ? null : { text: other, chunks };
  return { positive: { text, chunks }, negative, guidance: weight };
}

/** Lists what each sample is evaluated with: neighbours that are asked for the same share it, as a call may have millions. */
function listWanted(prompting: Prompting, call: GenerateCall, chunkCount: (text: string) => number): Wanted[] {
  const { prompts, negatives, guidance, count } = call;
  const isLikeBefore = (sample: number): boolean =>
    prompts[sample] === prompts[sample - 1] &&
    guidance[sample] === guidance[sample - 1] &&
    negatives?.[sample] === negatives?.[sample - 1];
  const wanted: Wanted[] = [];
  for (let sample = 0; sample < count; ++sample) {
    const before = sample > 0 && isLikeBefore(sample) ? wanted.at(-1) : undefined;
    wanted.push(before ?? wantedOf(sample, prompting, call, chunkCount));
  }
  return wanted;
}

/** What samples are evaluated with, and which samples' texts were cut. */
export interface PromptedSamples {
  readonly samples: PromptedSample[];
  readonly truncated: boolean[];
}

/**
 * Encodes the texts of a call, each distinct one once.
 *
 * @param known - Texts that other calls have seen, and what receives functions that give them back.
 */
export async function promptedSamples(
  prompting: Prompting,
  call: GenerateCall,
  { known = new KnownPrompts(prompting), taken }: { known?: KnownPrompts; taken?: (() => void)[] } = {},
): Promise<PromptedSamples> {
  const counts = new Map<string, number>();
  const chunkCount = (text: string): number => {
    const count = counts.get(text) ?? prompting.encoders.chunkCount(text);
    counts.set(text, count);
    return count;
  };
  const wanted = listWanted(prompting, call, chunkCount);
  const distinct = new Set(wanted);
  const texts = [...distinct].flatMap(({ positive, negative }) =>
    negative === null || negative === 'zeros' ? [positive] : [positive, negative],
  );
  const find = await known.seen(texts, call, taken);
  const made = new Map<Wanted, { sample: PromptedSample; truncated: boolean }>();
  const { sizes, negativeSizes, guidanceRescale } = call;
  for (const each of distinct) {
    const { positive, negative, guidance } = each;
    const text = find(positive);
    const other = negative === null || negative === 'zeros' ? null : find(negative);
    const away = negative === 'zeros' ? await known.zerosLike(text.prompt) : (other?.seen ?? null);
    const sample = { positive: text.seen, negative: away, guidance, sizes, negativeSizes, guidanceRescale };
    made.set(each, { sample, truncated: text.prompt.truncated || other?.prompt.truncated === true });
  }
  const all = wanted.map((each) => made.get(each) ?? at<never>([], 0));
  return { samples: all.map(({ sample }) => sample), truncated: all.map(({ truncated }) => truncated) };
}

/** Gives each sample its part of maps that the network sees behind the states, if there are any. */
export function withMaps(
  samples: readonly PromptedSample[],
  maps: Float32Array | undefined,
): readonly PromptedSample[] {
  if (maps === undefined) return samples;
  const each = maps.length / samples.length;
  return samples.map((sample, i) => ({ ...sample, beside: maps.subarray(i * each, (i + 1) * each) }));
}

/** Counts the states of the largest batch: two for each sample that is guided. */
function mostRows(samples: readonly PromptedSample[], batch: number): number {
  let [most, rows] = [0, 0];
  for (const [sample, { negative }] of samples.entries()) {
    rows = (sample % batch === 0 ? 0 : rows) + (negative === null ? 1 : 2);
    most = Math.max(most, rows);
  }
  return most;
}

/**
 * Requires that the evaluations of a call fit into the memory that there is.
 *
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` with the figure.
 */
export async function requireRoomForSamples(
  unet: ConditionalUNet,
  samples: readonly PromptedSample[],
  { height, width, batch, controls }: Pick<GenerateCall, 'height' | 'width' | 'batch' | 'controls'>,
  head?: HeadName,
): Promise<void> {
  const rows = mostRows(samples, batch);
  const tokens = samples.reduce((most, { positive }) => Math.max(most, positive.context.tokens), 0);
  const bytes = await unet.bytesFor({ height, width, tokens, batch: rows, head, controlScales: scalesOf(controls) });
  requireRoom(`the U-Net for ${rows} states of ${height} x ${width}`, bytes, 'take smaller images, or fewer at once');
}
