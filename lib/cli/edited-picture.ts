// Pictures that dpm generate draws again by another prompt: brought back to their noise by what they show (DDIM inversion).
import type { GenerateOptions } from '../latents/generate-options.js';
import { invertDefaults } from '../latents/inversion.js';
import type { Generated, TextToImage } from '../text-to-image.js';
import type { OptionSpec } from './command.js';
import type { DrawingParameters } from './drawing-parameters.js';
import type { OptionValues } from './option-values.js';
import { sidesIn, withTruncated } from './two-runs.js';
import { usageError } from './usage-error.js';

export const sourcePromptSpec: OptionSpec = {
  value: 'TEXT',
  help: 'what the picture of --image shows: it is brought back to its noise by that, and drawn again by the prompt',
};

/** Reads what the picture to begin with shows. @throws {@link UsageError} beside options that begin in another way. */
export function sourcePromptOf(options: OptionValues): string | undefined {
  const text = options.string('source-prompt');
  if (text === undefined) return undefined;
  const other = ['strength', 'mask', 'refiner'].find((name) => options.has(name));
  if (other !== undefined)
    throw usageError(`--source-prompt begins with the picture's own noise: leave --${other} out`);
  return text;
}

/**
 * Leaves out of the parameters of a picture how it began, where the command line says that it is to begin in another way.
 *
 * @throws {@link UsageError} for a refiner behind a picture's own noise.
 */
export function withoutReplacedBeginning(
  { strength, refinerStart, sourcePrompt, ...rest }: DrawingParameters,
  options: OptionValues,
): DrawingParameters {
  if (options.has('source-prompt')) return rest;
  if (options.has('strength') || options.has('mask')) return { ...rest, strength, refinerStart };
  if (sourcePrompt !== undefined && options.has('refiner')) {
    throw usageError('the picture of --from was drawn from the noise of a picture: leave --refiner out');
  }
  return { ...rest, strength, refinerStart, sourcePrompt };
}

/** Brings pictures back to their noise, and draws images from it. */
export async function drawEdited(
  pipeline: TextToImage,
  sourcePrompt: string,
  { image, sampler = invertDefaults.sampler, ...rest }: GenerateOptions,
): Promise<Generated> {
  if (image === undefined) throw usageError('--source-prompt is for --image FILE, the picture to begin with');
  const call = { ...rest, ...sidesIn(pipeline, { image, ...rest }), sampler };
  const { height, width, count, steps, controls, skippedLayers, batch, tile, signal, longPrompts } = call;
  const own = { height, width, count, steps, controls, skippedLayers, batch, tile, signal, longPrompts, sampler };
  const { noise, truncated } = await pipeline.invert({ ...own, prompt: sourcePrompt, image });
  const drawn = await pipeline.generate({ ...call, init: noise });
  return withTruncated(drawn, truncated);
}

/** Parameters that such a picture is drawn with where nothing is said. */
export function editedDefaults({ sourcePrompt }: DrawingParameters): Pick<DrawingParameters, 'sampler'> {
  return sourcePrompt === undefined ? {} : { sampler: invertDefaults.sampler };
}
