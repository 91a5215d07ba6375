// What a call gives to the ControlNets of its pipeline.
import { elementCount } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import { arrayOf, checkOptions, either, kinds, objectOf, probability, type OptionKinds } from '../base/option-kinds.js';
import { unitRange } from '../base/pixel-range.js';
import { givenImages, valuesOf, withGreyRepeated, type GivenImages } from '../images/given-images.js';
import type { ControlFacts } from './conditional-unet.js';
import { oneOrEach } from './one-or-each.js';

/** What a ControlNet is given in a call. */
export interface ControlOptions {
  /**
   * Pictures that control, of the images' size, one for all images or one each: a batch, of colours or grey levels, or values
   * [1 or N, C, H, W] from 0 to 1.
   */
  image: GivenImages;
  /** Factor of what the ControlNet adds; 0: it is not evaluated. Default 1. */
  scale?: number | undefined;
  /** Share of the evaluations before which it is not evaluated, from 0 to 1, as in diffusers. Default 0. */
  start?: number | undefined;
  /** Share of the evaluations after which it is not evaluated, above `start`, to 1. Default 1. */
  end?: number | undefined;
}

/** Facts about each option of {@link ControlOptions}. @internal */
export const controlOptionFacts = {
  image: {
    kind: givenImages,
    help: "pictures that control, of the images' size, one for all images or one each",
    value: 'FILE',
  },
  scale: { kind: kinds.float32, help: 'factor of what the ControlNet adds', standard: 1, value: 'SCALE' },
  start: {
    kind: probability,
    help: 'share of the evaluations before which it is not evaluated',
    standard: 0,
    value: 'S',
  },
  end: {
    kind: probability,
    help: 'share of the evaluations after which it is not evaluated',
    standard: 1,
    value: 'S',
  },
} as const satisfies OptionFacts<ControlOptions>;

const controlKinds: OptionKinds<ControlOptions> = kindsOf<ControlOptions>(controlOptionFacts);

/** Defaults of {@link ControlOptions}. @internal */
export const controlDefaults = standardsOf(controlOptionFacts);

/** Kind of lists of what ControlNets are given, whose entries {@link checkedControlOptions} checks. @internal */
export const controlList = arrayOf(
  'an array of { image, scale, start, end } or null',
  either(kinds.null, objectOf('{ image, scale, start, end }')),
);

/** What a ControlNet is given in a call, complete and copied. @internal */
export interface GivenControl {
  /** Number of the ControlNet. */
  readonly index: number;
  /** Values [1 or N, C, H, W] from 0 to 1. */
  readonly pictures: Float32Array;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Copies what a call gives to ControlNets, without those that it leaves out.
 *
 * @param nets - The ControlNets of the pipeline, in their order.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the entry and its option, `ERR_DPM_TENSOR_SHAPE` for pictures of other sides or
 * another number.
 * @internal
 */
export function checkedControlOptions(
  controls: readonly (ControlOptions | null)[] | undefined,
  nets: readonly ControlFacts[],
  { height, width, count }: Record<'height' | 'width' | 'count', number>,
): GivenControl[] {
  if (controls === undefined) return [];
  if (controls.length !== nets.length) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `controls has ${controls.length} entries, the pipeline ${nets.length} ControlNets`,
    );
  }
  return nets.flatMap(({ channels }, index) => {
    const given = controls[index] ?? null;
    if (given === null) return [];
    const name = `controls[${index}]`;
    const copy = { ...given };
    checkOptions(name, copy, controlKinds);
    const { image, scale = controlDefaults.scale, start = controlDefaults.start, end = controlDefaults.end } = copy;
    if (end <= start) throw wrongValue(`${name}.end`, end, `above start, ${start}`);
    const sampleShape = [channels, height, width];
    const values = valuesOf(`the pictures of ${name}`, withGreyRepeated(image, channels), {
      sampleShape,
      range: unitRange,
    });
    const pictures = oneOrEach(`${name}.image`, values, { elements: elementCount(sampleShape), count });
    return scale === 0 ? [] : [{ index, pictures: pictures.slice(), scale, start, end }];
  });
}
