// The parts of a conditional U-Net that are networks of their own, by their names.
import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { HeadName } from '../checkpoint/heads.js';
import type { ReadConditional } from '../checkpoint/pipelines/conditional.js';
import { conditionalGraph, promptGraph } from '../network/conditional.js';
import { controlPrefix, hintGraph } from '../network/control.js';
import type { HeadDescription } from '../network/description.js';
import type { Graph } from '../network/graph.js';
import type { NetworkSize } from './sized-networks.js';

/** What is evaluated of a U-Net, which names the network that does so. */
interface EvaluatedPart {
  readonly tokens: number;
  readonly head: HeadName | null;
  readonly controlScales: readonly number[];
}

const HINT = 'hint/';

/** Names the part that sees pictures that control. */
export function hintPart(index: number): string {
  return `${HINT}${index}`;
}

/** The part that prepares contexts. */
export const PROMPT = 'prompt';

/** Names a part by what it evaluates: ControlNets behind the last one that is evaluated make no difference. */
export function partOf({ tokens, head, controlScales }: EvaluatedPart): string {
  const count = controlScales.findLastIndex((scale) => scale !== 0) + 1;
  return JSON.stringify({ tokens, head, controlScales: controlScales.slice(0, count) });
}

/** Makes the network of a part: of the prompt, of pictures that control, or of the states, which says what it evaluates. */
export function networkOf(
  { description, heads }: ReadConditional,
  { part, height, width }: NetworkSize,
): { graph: Graph; classes?: number } {
  if (part === PROMPT) return { graph: promptGraph(description, height) };
  if (part.startsWith(HINT)) {
    const index = Number(part.slice(HINT.length));
    return { graph: hintGraph(at(description.controls ?? [], index), `${controlPrefix(index)}.`, { height, width }) };
  }
  const { tokens, head: name, controlScales } = JSON.parse(part) as EvaluatedPart;
  const all = new Map<string, HeadDescription>(heads?.heads);
  const head = name === null ? null : all.get(name);
  if (head === undefined) {
    const known = [...all.keys()].join(', ') || 'none';
    throw new DpmError('ERR_DPM_ARGUMENT', `the U-Net has no variance head '${name}'; it has: ${known}`);
  }
  const graph = conditionalGraph(description, { height, width, tokens }, { head, controlScales });
  return { graph, classes: description.classes };
}
