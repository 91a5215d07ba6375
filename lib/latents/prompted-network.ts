import { at, joined, partsAt, sideBySide } from '../base/arrays.js';
import { guidanceFactors } from '../guidance/classifier-free.js';
import type { HeadName } from '../checkpoint/heads.js';
import { ScriptNetwork } from '../run/script-network.js';
import { predictWithHead, type ConditionalUNet } from './conditional-unet.js';
import { joinedContexts, type PreparedContext } from './prepared-context.js';
import { ControlCounter, type PromptedControl } from './prompted-controls.js';
import type { GenerateCall } from './resolve-call.js';

/** A text as the U-Net sees it in every evaluation. */
export interface SeenPrompt {
  readonly context: PreparedContext;
  readonly pooled: Float32Array | null;
}

/** What guides a sample, and what the network sees beside its states. */
export interface PromptedSample extends Pick<GenerateCall, 'sizes' | 'negativeSizes' | 'guidanceRescale'> {
  readonly positive: SeenPrompt;
  /** What guidance leads away from; null: the sample is evaluated with its prompt alone. */
  readonly negative: SeenPrompt | null;
  /** Weight of the positive prompt, which networks of one evaluation may see. */
  readonly guidance: number;
  /** Maps that the network sees behind the states, [C, h, w]; absent: none. */
  readonly beside?: Float32Array | undefined;
}

/** Samples of one size, by their labels. */
export interface PromptedBatch extends Pick<GenerateCall, 'height' | 'width'> {
  /** Gives the sample of a label; undefined: it is gone, and what is predicted for it goes nowhere. */
  readonly sampleOf: (label: number) => PromptedSample | undefined;
  /** ControlNets, in their order, whose pictures are those of the labels; absent: none. */
  readonly controls?: readonly PromptedControl[] | undefined;
}

/** A variance head that samplers read. */
export interface PromptedHead {
  readonly name: HeadName;
  /** Gives, at a network time, the squared error of the noise as a multiple of what the head predicts. */
  readonly scale: (time: number) => number;
}

/** An evaluation of a row of the batch, and where its result goes. */
interface Asked extends Pick<PromptedSample, 'sizes' | 'guidance' | 'beside'> {
  readonly row: number;
  readonly label: number;
  readonly seen: SeenPrompt;
  readonly into: Float32Array;
  /** Where the second output goes; null: it is not evaluated, or not needed. */
  readonly head: Float32Array | null;
}

/** Keys and values of samples, each once, and the number of each sample's. */
interface SharedContexts {
  readonly context: PreparedContext;
  readonly contextIndices: readonly number[];
}

/** Joins the keys and values of prompts, and remembers the last ones: a run asks for the same in every step. */
class JoinedContexts {
  #contexts: readonly PreparedContext[] = [];
  #joined: PreparedContext | null = null;

  of(seen: readonly SeenPrompt[]): SharedContexts {
    const contexts = [...new Set(seen.map(({ context }) => context))];
    const contextIndices = seen.map(({ context }) => contexts.indexOf(context));
    const isSame = contexts.length === this.#contexts.length && contexts.every((one, i) => one === this.#contexts[i]);
    if (this.#joined !== null && isSame) return { context: this.#joined, contextIndices };
    this.#contexts = contexts;
    this.#joined = joinedContexts(contexts);
    return { context: this.#joined, contextIndices };
  }
}

/** Evaluations of one network. */
interface AskedGroup {
  readonly asked: Asked[];
  readonly tokens: number;
  readonly controls: readonly PromptedControl[];
}

/** Groups evaluations by what is a network of its own: the number of the prompt's tokens, and which ControlNets are evaluated. */
function byNetwork(all: readonly Asked[], controlsOf: readonly (readonly PromptedControl[])[]): AskedGroup[] {
  const groups = new Map<string, AskedGroup>();
  for (const asked of all) {
    const { tokens } = asked.seen.context;
    const active = at(controlsOf, asked.row);
    const key = [tokens, ...active.map(({ use }) => use.picture.index)].join();
    const group = groups.get(key) ?? { asked: [], tokens, controls: active };
    group.asked.push(asked);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** Puts the maps of samples behind their states. */
function besideStates(states: Float32Array, group: readonly Asked[]): Float32Array {
  const maps = group.flatMap(({ beside }) => beside ?? []);
  return maps.length === 0 ? states : sideBySide(group.length, [states, joined(Float32Array, maps)]);
}

function standardDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/**
 * Mixes two predictions of a sample as the engine does (Ho & Salimans 2022), and makes the deviation of a share of the mixture
 * that of the first one (Lin et al. 2024, equations 15 and 16).
 */
function mix(out: Float32Array, away: Float32Array, { weight, rescale }: Record<'weight' | 'rescale', number>): void {
  const { conditional, unconditional } = guidanceFactors(weight);
  const wanted = rescale === 0 ? 0 : standardDeviation(out);
  for (const [i, value] of away.entries()) {
    out[i] = Math.fround(conditional * (out[i] ?? 0)) + Math.fround(unconditional * value);
  }
  const deviation = rescale === 0 ? 0 : standardDeviation(out);
  if (deviation === 0) return;
  const factor = (rescale * wanted) / deviation + (1 - rescale);
  for (const [i, value] of out.entries()) out[i] = value * factor;
}

/**
 * Predicts from states [rows, C, h, w] at one time each, for the samples that labels name; and expects the squared
 * error of the noise where there is a head.
 */
export type PromptedEvaluate = (
  x: Float32Array,
  times: Float32Array,
  labels: ArrayLike<number>,
) => Promise<{ out: Float32Array; head?: Float32Array }>;

/**
 * Makes the U-Net with the prompts of samples a function of states. A sample with a negative prompt takes two evaluations, in
 * one batch with those of others. Its second output is that of its prompt, as with guidance no mean is that of a posterior.
 */
export function promptedEvaluate(
  unet: ConditionalUNet,
  { height, width, sampleOf, controls: all = [] }: PromptedBatch,
  head: PromptedHead | null = null,
): PromptedEvaluate {
  const elements = unet.outChannels * height * width;
  const contexts = new Map<number, JoinedContexts>();
  const counter = new ControlCounter(all);

  const evaluate = async (
    x: Float32Array,
    times: Float32Array,
    { asked: group, tokens, controls }: AskedGroup,
  ): Promise<void> => {
    const known = contexts.get(tokens) ?? new JoinedContexts();
    contexts.set(tokens, known);
    const rows = group.map(({ row }) => row);
    const options = {
      height,
      width,
      ...known.of(group.map(({ seen }) => seen)),
      ...(unet.seesPooled && {
        pooled: Float32Array.from(group.flatMap(({ seen }) => Array.from(seen.pooled ?? []))),
        sizes: group.flatMap(({ sizes }) => sizes),
      }),
      ...(unet.seesGuidance && { guidance: group.map(({ guidance }) => guidance) }),
      ...(controls.length > 0 && {
        controls: controls.map(({ use }) => use),
        controlIndices: group.map(({ label }) => label),
      }),
    };
    const states = besideStates(partsAt(x, rows, elements), group);
    const predicted = await predictWithHead(unet, states, partsAt(times, rows, 1), options, head?.name ?? null);
    for (const [i, { row, into, head: second }] of group.entries()) {
      const part = (values: Float32Array): Float32Array => values.subarray(i * elements, (i + 1) * elements);
      into.set(part(predicted.out), row * elements);
      if (head === null || second === null || predicted.head === null) continue;
      const scale = head.scale(at(times, row));
      second.set(
        part(predicted.head).map((value) => value * scale),
        row * elements,
      );
    }
  };

  return async (x, times, labels) => {
    const samples = Array.from(labels, (label, row) => ({ label, row, sample: sampleOf(label) })).flatMap((each) =>
      each.sample === undefined ? [] : [{ ...each.sample, ...each }],
    );
    const [out, away] = [new Float32Array(x.length), new Float32Array(x.length)];
    const second = head === null ? null : new Float32Array(x.length);
    const asked = samples.flatMap(({ positive, negative, negativeSizes, ...each }): Asked[] => [
      ...(negative === null ? [] : [{ ...each, seen: negative, sizes: negativeSizes, into: away, head: null }]),
      { ...each, seen: positive, into: out, head: second },
    ]);
    const controls = Array.from(labels, (label, row) => counter.next(label, at(times, row)));
    for (const group of byNetwork(asked, controls)) await evaluate(x, times, group);
    for (const { row, negative, guidance, guidanceRescale } of samples) {
      if (negative === null) continue;
      const part = (values: Float32Array): Float32Array => values.subarray(row * elements, (row + 1) * elements);
      mix(part(out), part(away), { weight: guidance, rescale: guidanceRescale });
    }
    return { out, ...(second !== null && { head: second }) };
  };
}

/**
 * Makes the U-Net with the prompts of samples a network for runs, whose labels are those of the samples.
 *
 * @param classes - Number of labels that there can be.
 * @param guiding - Changes the predictions.
 */
export function promptedNetwork(
  unet: ConditionalUNet,
  batch: PromptedBatch,
  { classes, head }: { classes: number; head: PromptedHead | null },
  guiding: (evaluate: PromptedEvaluate) => PromptedEvaluate = (evaluate) => evaluate,
): ScriptNetwork {
  const elements = unet.outChannels * batch.height * batch.width;
  const evaluate = guiding(promptedEvaluate(unet, batch, head));
  return new ScriptNetwork(unet.device, { elements, classes, head: head !== null }, (x, times, labels) =>
    evaluate(x, times, labels ?? []),
  );
}
