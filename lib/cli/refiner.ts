// The refiner of dpm generate: a second pipeline that takes the last steps (SDXL).
import { shareAboveZero } from '../base/option-kinds.js';
import type { GenerateOptions } from '../latents/generate-options.js';
import type { KeptParts } from '../latents/load-pipeline.js';
import type { TextToImage, Generated } from '../text-to-image.js';
import type { OptionSpecs } from './command.js';
import type { DrawingParameters } from './drawing-parameters.js';
import type { OptionValues } from './option-values.js';
import { sidesIn, withTruncated } from './two-runs.js';
import { usageError } from './usage-error.js';

/** Share of the times before the refiner where nothing is said, as in the examples of diffusers. */
export const standardRefinerStart = 0.8;

/** Options of a refiner. */
export const refinerOptions: OptionSpecs = {
  refiner: { value: 'MODEL', help: 'pipeline that takes the last steps, as the refiner of SDXL' },
  'refiner-start': {
    value: 'S',
    help: `share of the noise schedule's times before the refiner; default ${standardRefinerStart}`,
  },
};

/** Reads where the refiner begins; undefined: nothing is said. */
export function refinerStartOf(options: OptionValues): number | undefined {
  const share = options.number('refiner-start');
  if (share === undefined) return undefined;
  if (!options.has('refiner')) throw usageError('--refiner-start is for --refiner MODEL, which is missing');
  if (shareAboveZero.holds(share)) return share;
  throw usageError(`--refiner-start is ${share}, it has to be ${shareAboveZero.expected}`);
}

/**
 * Finds the path of the refiner of what is drawn; null: there is none.
 *
 * @throws {@link UsageError} if the picture that is drawn again had one, and none is given.
 */
export function refinerPathOf(options: OptionValues, { refinerStart }: DrawingParameters): string | null {
  const path = options.string('refiner');
  if (path !== undefined || refinerStart === undefined) return path ?? null;
  throw usageError('the picture of --from was finished by a refiner: --refiner MODEL');
}

/** Lets a base draw down to the level of a share of the times, and a refiner go on from there with as many steps in all. */
export async function drawRefined(
  [base, refiner]: readonly [base: TextToImage, refiner: TextToImage],
  { start, keep }: { start: number; keep: KeptParts | undefined },
  { image, strength, mask, controls, ...rest }: GenerateOptions,
): Promise<Generated> {
  const call = {
    ...rest,
    ...sidesIn(base, { image, controls, ...rest }),
    steps: rest.steps ?? base.defaults.steps,
    guidance: rest.guidance ?? base.defaults.guidance,
  };
  const begun = { image, strength, mask, controls, denoisingEnd: start, output: 'latents' } as const;
  const { latents, truncated } = await base.generate({ ...call, ...begun });
  if (keep === 'none') await base.unet.release();
  const drawn = await refiner.generate({ ...call, image: latents, denoisingStart: start });
  return withTruncated(drawn, truncated);
}
