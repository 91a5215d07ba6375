import { throwIfAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { requireRoom } from '../base/memory-budget.js';
import type { HeadName } from '../checkpoint/heads.js';
import { scalesOf } from './conditional-inputs.js';
import type { ConditionalUNet } from './conditional-unet.js';
import type { GenerateCall } from './resolve-call.js';
import type { PromptedSample, SeenPrompt } from './prompted-network.js';
import type { EncodedPrompt, PromptEncoders, PromptText } from './prompts.js';

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

interface Encoded {
  readonly seen: SeenPrompt;
  readonly truncated: boolean;
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

const keyOf = ({ text, chunks }: PromptText): string => `${chunks ?? ''} ${text}`;

/** Encodes the distinct texts, and makes what the U-Net sees of them. */
async function encodedTexts(
  { encoders, unet }: Prompting,
  texts: ReadonlyMap<string, PromptText>,
  { skippedLayers, signal }: GenerateCall,
): Promise<Map<string, Encoded & { prompt: EncodedPrompt }>> {
  const encoded = new Map<string, Encoded & { prompt: EncodedPrompt }>();
  const prompts = await encoders.encode([...texts.values()], skippedLayers);
  for (const [i, key] of [...texts.keys()].entries()) {
    throwIfAborted(signal);
    const prompt = at(prompts, i);
    const seen = { context: await unet.prepare(prompt.hidden, 1), pooled: prompt.pooled };
    encoded.set(key, { seen, truncated: prompt.truncated, prompt });
  }
  return encoded;
}

/** Makes the zeros that stand for no negative prompt, once for each number of tokens. */
class Zeros {
  readonly #zeros = new Map<number, Promise<SeenPrompt>>();

  constructor(private readonly unet: ConditionalUNet) {}

  like({ hidden, pooled }: EncodedPrompt): Promise<SeenPrompt> {
    const known = this.#zeros.get(hidden.length);
    if (known !== undefined) return known;
    const seen = this.unet.prepare(new Float32Array(hidden.length), 1).then((context) => ({
      context,
      pooled: pooled && new Float32Array(pooled.length),
    }));
    this.#zeros.set(hidden.length, seen);
    return seen;
  }
}

/** Encodes the texts of a call, each distinct one once, and tells which samples' texts were cut. */
export async function promptedSamples(
  prompting: Prompting,
  call: GenerateCall,
): Promise<{ samples: PromptedSample[]; truncated: boolean[] }> {
  const counts = new Map<string, number>();
  const chunkCount = (text: string): number => {
    const count = counts.get(text) ?? prompting.encoders.chunkCount(text);
    counts.set(text, count);
    return count;
  };
  const wanted = listWanted(prompting, call, chunkCount);
  const distinct = new Set(wanted);
  const texts = new Map<string, PromptText>();
  for (const { positive, negative } of distinct) {
    texts.set(keyOf(positive), positive);
    if (negative !== null && negative !== 'zeros') texts.set(keyOf(negative), negative);
  }
  const encoded = await encodedTexts(prompting, texts, call);
  const find = (text: PromptText) => {
    const found = encoded.get(keyOf(text));
    return found ?? at<never>([], 0);
  };
  const zeros = new Zeros(prompting.unet);
  const made = new Map<Wanted, { sample: PromptedSample; truncated: boolean }>();
  for (const each of distinct) {
    const { positive, negative, guidance } = each;
    const text = find(positive);
    const other = negative === null || negative === 'zeros' ? null : find(negative);
    const seen = negative === 'zeros' ? await zeros.like(text.prompt) : (other?.seen ?? null);
    const sample = { positive: text.seen, negative: seen, guidance };
    made.set(each, { sample, truncated: text.truncated || other?.truncated === true });
  }
  const samples: PromptedSample[] = [];
  const truncated: boolean[] = [];
  for (const each of wanted) {
    const found = made.get(each) ?? at<never>([], 0);
    samples.push(found.sample);
    truncated.push(found.truncated);
  }
  return { samples, truncated };
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
