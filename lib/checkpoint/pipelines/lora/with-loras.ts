import { at, listNames } from '../../../base/arrays.js';
import { DpmError } from '../../../base/errors.js';
import type { Checkpoint, LowRankAddition } from '../../checkpoint.js';
import type { LayerNames } from './layer-names.js';
import { readLoraFile, shownFactors, type LayerAddition, type LoraFile } from './lora-file.js';

/** A file of low-rank additions (LoRA) to the weights of networks, and its factor. */
export interface GivenLora {
  readonly path: string;
  readonly scale: number;
  /** True to leave out what fits no layer of the networks, as long as anything fits. */
  readonly allowPartial: boolean;
}

/** A network that is added to. */
export interface LoraTarget {
  readonly checkpoint: Checkpoint;
  readonly names: LayerNames;
}

type Added = Map<string, LowRankAddition[]>;

/** Sides of a weight, a matrix or a kernel: outputs, inputs, height and width. */
const sidesOf = ([outputs = 1, inputs = 1, height = 1, width = 1]: readonly number[]): number[] => [
  outputs,
  inputs,
  height,
  width,
];

/** Requires that a product is as large as the weight that it is added to. */
function requireFitting(path: string, { up, mid, down }: LayerAddition, name: string, shape: readonly number[]): void {
  const kernel = (mid ?? down).shape.slice(2);
  const own = sidesOf([at(up.shape, 0), at(down.shape, 1), ...kernel]);
  if (own.join() === sidesOf(shape).join()) return;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${path}: the product of ${shownFactors({ up, mid, down })} is no addition to ${name} [${shape.join(', ')}]`,
  );
}

function additionOf(path: string, { up, mid, down, factor, layer }: LayerAddition, scale: number): LowRankAddition {
  const whole = Math.fround(scale * factor);
  if (!Number.isFinite(whole)) {
    throw new DpmError(
      'ERR_DPM_NOT_FINITE',
      `${path}: scale ${scale} times ${factor} of layer '${layer}' is not finite`,
    );
  }
  return { path, factor: whole, up, mid, down };
}

/** Refuses what fits no layer. */
function requireFit(path: string, isAnyFitting: boolean, left: readonly string[], allowPartial: boolean): void {
  if (isAnyFitting && (left.length === 0 || allowPartial)) return;
  throw new DpmError(
    'ERR_DPM_TENSOR_UNUSED',
    isAnyFitting
      ? `${path}: ${left.length} additions fit no layer of the networks: ${listNames(left)}; allowPartial leaves them out`
      : `${path} adds to no layer of the networks${left.length === 0 ? '' : `: ${listNames(left)}`}`,
  );
}

/** A layer of a file, and the weight that it adds to. */
interface Match {
  readonly addition: LayerAddition;
  /** Index of the network. */
  readonly target: number;
  readonly weight: string;
}

/** Finds the weights of a file's layers. */
function matched({ path, layers }: LoraFile, targets: readonly LoraTarget[]): { matches: Match[]; rest: string[] } {
  const owners = targets.map(() => new Map<string, string>());
  const matches: Match[] = [];
  const rest: string[] = [];
  for (const addition of layers) {
    const { layer } = addition;
    const target = targets.findIndex(({ names }) => names.has(layer));
    const weight = targets[target]?.names.get(layer);
    if (weight === undefined) {
      rest.push(layer);
      continue;
    }
    const owner = at(owners, target).get(weight);
    if (owner !== undefined) {
      throw new DpmError('ERR_DPM_TENSOR_UNUSED', `${path}: layers '${layer}' and '${owner}' both add to ${weight}`);
    }
    at(owners, target).set(weight, layer);
    matches.push({ addition, target, weight });
  }
  return { matches, rest };
}

/** Puts the additions of a file behind those of others. */
function addFile(
  all: readonly Added[],
  file: LoraFile,
  { scale, allowPartial }: GivenLora,
  { targets, isElsewhere }: { targets: readonly LoraTarget[]; isElsewhere: (layer: string) => boolean },
): void {
  const { matches, rest } = matched(file, targets);
  const left = [...rest.filter((layer) => !isElsewhere(layer)), ...file.others];
  requireFit(file.path, matches.length > 0, left, allowPartial);
  for (const { addition, target, weight } of matches) {
    requireFitting(file.path, addition, weight, at(targets, target).checkpoint.tensors.get(weight)?.shape ?? []);
    const added = at(all, target);
    added.set(weight, [...(added.get(weight) ?? []), additionOf(file.path, addition, scale)]);
  }
}

function withAdditions(checkpoint: Checkpoint, added: Added): Checkpoint {
  if (added.size === 0) return checkpoint;
  const tensors = new Map(checkpoint.tensors);
  for (const [name, additions] of added) {
    const entry = tensors.get(name);
    if (entry !== undefined) tensors.set(name, { ...entry, additions });
  }
  return { files: checkpoint.files, tensors };
}

/**
 * Adds the products of files to the weights of networks, which are computed when the weights are read: W + scale (alpha /
 * rank) up down, of several files their sum (Hu et al. 2021, LoRA; `mid` is that of LoCon).
 *
 * @param isElsewhere - Tells whether a layer is one of a network that is not among these, and may be left out.
 * @returns Checkpoints of the networks; those of networks that nothing is added to as they were given.
 * @throws {@link DpmError} naming the file and the tensor; `ERR_DPM_TENSOR_UNUSED` if layers of a file, or all, are those of
 * no network.
 */
export async function withLoras(
  targets: readonly LoraTarget[],
  loras: readonly GivenLora[],
  isElsewhere: (layer: string) => boolean = () => false,
): Promise<Checkpoint[]> {
  const all = targets.map((): Added => new Map());
  for (const options of loras) addFile(all, await readLoraFile(options.path), options, { targets, isElsewhere });
  return targets.map(({ checkpoint }, index) => withAdditions(checkpoint, at(all, index)));
}
