// What an evaluation of a conditional U-Net is given beside its states, checked and copied.
import { at, partsAt, sideBySide } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, integerBetween, requireKind } from '../base/option-kinds.js';
import type { ConditionalConfig } from '../checkpoint/pipelines/conditional-config.js';
import { controlUseKinds, type ConditionalForwardOptions, type ControlUse } from './conditional-options.js';
import { guidanceFeatures, numberFeatures } from './features.js';
import type { PreparedControl } from './prepared-control.js';

const wholeIndex = integerBetween(0, 2 ** 20);

/** Copies the number of each sample's context, or picture. @throws {@link DpmError} `ERR_DPM_ARGUMENT` for other numbers. */
export function checkedIndices(name: string, given: ArrayLike<number>, batch: number): Uint32Array {
  const indices: readonly unknown[] = Array.from(given);
  if (indices.length !== batch) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} has ${indices.length} numbers for ${batch} samples`);
  }
  const wrong = indices.findIndex((index) => !wholeIndex.holds(index));
  if (wrong >= 0) throw wrongValue(`${name}[${wrong}]`, indices[wrong], wholeIndex.expected);
  return Uint32Array.from(given);
}

/** Copies vectors of samples. @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` for another number of them. */
function requireVectors(what: string, given: Float32Array | undefined, batch: number, length: number): Float32Array {
  if (given?.length === batch * length) return given.slice();
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${what} has ${given?.length ?? 0} elements, ${batch} samples have ${batch} x ${length}`,
  );
}

/**
 * Makes the vectors that are embedded beside the time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` or `ERR_DPM_TENSOR_SHAPE` for those that the network does not see, or others than it sees.
 */
export function addedVectors(
  { description, textTime }: ConditionalConfig,
  { pooled, sizes, classVectors }: ConditionalForwardOptions,
  batch: number,
): Float32Array | undefined {
  const { added, time } = description;
  const seesText = textTime !== null;
  if (!seesText && (pooled !== undefined || sizes !== undefined)) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'the network sees no pooled states: leave pooled and sizes out');
  }
  const seesClass = added !== null && !seesText;
  if (!seesClass && classVectors !== undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'the network sees no vectors of classes: leave classVectors out');
  }
  if (added === null) return undefined;
  if (!seesText) return requireVectors('classVectors', classVectors, batch, added.length);
  const style = { length: textTime.features, shift: time.shift, order: time.order };
  const numbers = (sizes?.length ?? 0) / batch;
  const width = added.length - numbers * textTime.features;
  if (sizes === undefined || !Number.isInteger(numbers) || width < 1) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `sizes has ${sizes?.length ?? 0} numbers for ${batch} samples, which do not fit the network`,
    );
  }
  const states = requireVectors('pooled', pooled, batch, width);
  const features = Array.from(sizes, (size) => numberFeatures(size, style));
  const vectors = Array.from({ length: batch }, (_, n) => [
    ...states.subarray(n * width, (n + 1) * width),
    ...features.slice(n * numbers, (n + 1) * numbers).flat(),
  ]);
  return Float32Array.from(vectors.flat());
}

/** Makes the features of the guidance weight. @throws {@link DpmError} as {@link addedVectors}. */
export function guidanceVectors(
  { description: { guidanceFeatures: length } }: ConditionalConfig,
  { guidance, guidanceFeatures: given }: ConditionalForwardOptions,
  batch: number,
): Float32Array | undefined {
  if (length === null) {
    if (guidance === undefined && given === undefined) return undefined;
    throw new DpmError('ERR_DPM_ARGUMENT', 'the network sees no weight of guidance: leave guidance out');
  }
  if (given !== undefined) return requireVectors('guidanceFeatures', given, batch, length);
  const weights = typeof guidance === 'number' ? new Array<number>(batch).fill(guidance) : Array.from(guidance ?? []);
  if (weights.length !== batch) {
    throw new DpmError('ERR_DPM_ARGUMENT', `guidance has ${weights.length} weights for ${batch} samples`);
  }
  return Float32Array.from(weights.flatMap((weight) => guidanceFeatures(weight, length)));
}

/** A ControlNet of an evaluation, with its pictures. */
export interface CheckedControl {
  readonly index: number;
  readonly picture: PreparedControl;
  readonly scale: number;
}

/** What the pictures of ControlNets are for. */
interface ControlledStates {
  readonly network: object;
  readonly height: number;
  readonly width: number;
  readonly batch: number;
  /** Number of each sample's picture; null: its own. */
  readonly indices: Uint32Array | null;
}

/** @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a picture of another network or size, or samples that have none. */
function requireFittingPicture(
  name: string,
  picture: PreparedControl,
  { network, height, width, batch, indices }: ControlledStates,
): void {
  if (picture.network !== network || picture.height !== height || picture.width !== width) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `${name} is not one that this network prepared for states of ${height} x ${width}`,
    );
  }
  if (picture.count === 1) return;
  if (indices === null && picture.count !== batch) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} has ${picture.count} pictures for ${batch} samples`);
  }
  const wrong = indices?.findIndex((index) => index >= picture.count) ?? -1;
  if (wrong < 0) return;
  throw wrongValue(`controlIndices[${wrong}]`, indices?.[wrong], `below ${picture.count}, the pictures of ${name}`);
}

/**
 * Copies the ControlNets of an evaluation that change anything, in their order.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong entry.
 */
export function checkedControls(controls: readonly ControlUse[], states: ControlledStates): CheckedControl[] {
  const all = controls.map((use, k) => {
    const copy = { ...use };
    const name = `controls[${k}]`;
    checkOptions(name, copy, controlUseKinds);
    const { picture, scale = 1 } = copy;
    requireKind(`${name}.picture`, picture, controlUseKinds.picture);
    requireFittingPicture(`${name}.picture`, picture, states);
    return { index: picture.index, picture, scale };
  });
  const numbers = all.map(({ index }) => index);
  const twice = numbers.findIndex((index, k) => numbers.indexOf(index) < k);
  if (twice >= 0) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `controls[${twice}] is of ControlNet ${at(numbers, twice)}, as another one is`,
    );
  }
  return all.filter(({ scale }) => scale !== 0).sort((a, b) => a.index - b.index);
}

/** Gives the factor of each ControlNet's maps, up to the last one that is evaluated. */
export function scalesOf(controls: readonly { readonly index: number; readonly scale: number }[]): number[] {
  const scales: number[] = [];
  for (const { index, scale } of controls) scales[index] = scale;
  return Array.from(scales, (scale) => scale || 0);
}

/** Copies states, and puts what ControlNets see of the pictures of each behind it. */
export function statesWithPictures(
  x: Float32Array,
  batch: number,
  controls: readonly CheckedControl[],
  indices: Uint32Array | null,
): Float32Array {
  const behind = controls.map(({ picture: { data, count } }) => {
    const rows = Array.from({ length: batch }, (_, row) => (count === 1 ? 0 : (indices?.[row] ?? row)));
    return partsAt(data, rows, data.length / count);
  });
  return sideBySide(batch, [x, ...behind]);
}

/** Copies pictures [count, channels, H, W] with their channels in the other order. */
export function withReversedChannels(pictures: Float32Array, count: number, channels: number): Float32Array {
  const pixels = pictures.length / count / channels;
  return pictures.map((_, i) => {
    const [map, pixel] = [Math.floor(i / pixels), i % pixels];
    const channel = map % channels;
    return at(pictures, (map - channel + (channels - 1 - channel)) * pixels + pixel);
  });
}
