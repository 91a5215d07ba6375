// What an evaluation of a conditional U-Net is given beside its states, checked and copied.
import { at } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, integerBetween, requireKind } from '../base/option-kinds.js';
import { controlUseKinds, type ControlUse } from './conditional-options.js';
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
export function requireVectors(
  what: string,
  given: Float32Array | undefined,
  batch: number,
  length: number,
): Float32Array {
  if (given?.length === batch * length) return given.slice();
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${what} has ${given?.length ?? 0} elements, ${batch} samples have ${batch} x ${length}`,
  );
}

/** A ControlNet of an evaluation, with its pictures. */
export interface CheckedControl {
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
    return { picture, scale };
  });
  const numbers = all.map(({ picture }) => picture.index);
  const twice = numbers.findIndex((index, k) => numbers.indexOf(index) < k);
  if (twice >= 0) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `controls[${twice}] is of ControlNet ${at(numbers, twice)}, as another one is`,
    );
  }
  return all.filter(({ scale }) => scale !== 0).sort((a, b) => a.picture.index - b.picture.index);
}

/** Gives the factor of each ControlNet's maps, up to the last one that is evaluated. */
export function scalesOf(controls: readonly CheckedControl[]): number[] {
  const scales: number[] = [];
  for (const { picture, scale } of controls) scales[picture.index] = scale;
  return Array.from(scales, (scale) => scale || 0);
}

/** Copies states, and puts what ControlNets see of the pictures of each behind it. */
export function statesWithPictures(
  x: Float32Array,
  batch: number,
  controls: readonly CheckedControl[],
  indices: Uint32Array | null,
): Float32Array {
  if (controls.length === 0) return x.slice();
  const own = x.length / batch;
  const widths = controls.map(({ picture: { data, count } }) => data.length / count);
  const row = own + widths.reduce((sum, width) => sum + width, 0);
  const all = new Float32Array(batch * row);
  for (let n = 0; n < batch; ++n) {
    all.set(x.subarray(n * own, (n + 1) * own), n * row);
    let end = n * row + own;
    for (const [k, { picture }] of controls.entries()) {
      const from = picture.count === 1 ? 0 : (indices?.[n] ?? n);
      const width = at(widths, k);
      all.set(picture.data.subarray(from * width, (from + 1) * width), end);
      end += width;
    }
  }
  return all;
}
