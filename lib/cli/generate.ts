import { basename, resolve } from 'node:path';

import { DpmError } from '../base/errors.js';
import type { ImageBatch } from '../images/image-batch.js';
import type { PictureOptions } from '../images/picture-options.js';
import { readPngText } from '../images/png-text.js';
import { imageFileKind, saveFolder } from '../images/save.js';
import { samplerNames, type SamplerName } from '../samplers/index.js';
import {
  generateDefaults,
  generateOptionFacts as facts,
  longPrompts,
  type GenerateOptions,
} from '../latents/generate-options.js';
import { keptParts, pipelineOptionFacts, type TextToImageLoadOptions } from '../latents/load-pipeline.js';
import { standardStrength } from '../latents/resolve-call.js';
import { TextToImage, type Generated } from '../text-to-image.js';
import { specOf, type Call, type Command } from './command.js';
import { usageError } from './usage-error.js';
import { type OptionValues } from './option-values.js';
import { modelName, outOf, outSpec, writeOut } from './default-target.js';
import { formatParameters, parametersKeyword, parseParameters, type DrawingParameters } from './drawing-parameters.js';
import { controlsOf, controlSpecs, namedControls, pictureAt } from './controls.js';
import { deviceOptions, deviceSettings } from './model-options.js';
import { counted, printJson, printLine, printNote, progressBar } from './output.js';
import { lorasOf, pipelineLoadOptions, pipelineOptions, sizeOf, sizeSpec } from './pipeline-options.js';
import { drawRefined, refinerOptions, refinerPathOf, refinerStartOf, standardRefinerStart } from './refiner.js';
import {
  drawEdited,
  editedDefaults,
  withoutReplacedBeginning,
  sourcePromptOf,
  sourcePromptSpec,
} from './edited-picture.js';
import { askedScale, scaleFor, scaleSpec } from './picture-scale.js';
import { checkTarget } from './target.js';

/** Reads what the command line says, without what it does not. */
function givenParameters(options: OptionValues, prompt: string | undefined): Partial<DrawingParameters> {
  const given = {
    prompt,
    negativePrompt: options.string('negative'),
    count: options.integer('count'),
    steps: options.integer('steps'),
    sampler: options.choice<SamplerName>('sampler', samplerNames),
    guidance: options.number('guidance'),
    guidanceRescale: options.number('guidance-rescale'),
    refinerStart: refinerStartOf(options),
    seed: options.seed('seed'),
    strength: options.number('strength'),
    sourcePrompt: sourcePromptOf(options),
    skippedLayers: options.integer('clip-skip'),
    tile: options.integer('tile'),
    longPrompts: options.choice('long-prompts', longPrompts),
    ...sizeOf(options),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** Reads the parameters of the picture that is drawn again. */
async function parametersOf(path: string, options: OptionValues): Promise<DrawingParameters> {
  const text = await readPngText(path, parametersKeyword);
  if (text === null) throw new DpmError('ERR_DPM_FILE', `${path}: the PNG has no ${parametersKeyword}`);
  const { parameters, unread } = parseParameters(text, path, (option) => options.has(option));
  if (unread.length > 0) printNote(`${path}: these parameters are left out: ${unread.join(', ').slice(0, 500)}`);
  // Another seed has a first image of its own.
  if (options.has('seed') && parameters.position !== undefined) return { ...parameters, count: 1, position: undefined };
  return parameters;
}

async function askedParameters({ positionals: [, prompt], options }: Call): Promise<DrawingParameters> {
  const from = options.string('from');
  const given = givenParameters(options, prompt);
  if (from !== undefined) return { ...withoutReplacedBeginning(await parametersOf(from, options), options), ...given };
  if (prompt === undefined) throw usageError('dpm generate takes MODEL PROMPT, or MODEL and --from');
  return { ...given, prompt };
}

/** Reads the picture that the images begin with. */
async function pictureOf(
  options: OptionValues,
  { strength, sourcePrompt, position }: DrawingParameters,
): Promise<Pick<GenerateOptions, 'image' | 'mask'>> {
  const [path, mask] = [options.string('image'), options.string('mask')];
  if (path === undefined) {
    const lonely = ['strength', 'mask', 'source-prompt'].find((name) => options.has(name));
    if (lonely === undefined && strength === undefined && sourcePrompt === undefined) return {};
    const what = lonely === undefined ? 'the picture of --from began with another one:' : `--${lonely} is for`;
    throw usageError(`${what} --image FILE, the picture to begin with`);
  }
  const image = await pictureAt(path, position);
  return { image, ...(mask !== undefined && { mask: await pictureAt(mask, position) }) };
}

/** Draws the images, or the one of the position: image k is sample k of its seed. */
async function draw(
  [pipeline, refiner]: readonly [pipeline: TextToImage, refiner: TextToImage | null],
  { position, refinerStart = standardRefinerStart, sourcePrompt, ...asked }: DrawingParameters,
  {
    keep,
    ...options
  }: Pick<GenerateOptions, 'image' | 'mask' | 'controls' | 'batch' | 'signal' | 'onProgress'> &
    Pick<TextToImageLoadOptions, 'keep'>,
): Promise<Generated & { images: ImageBatch }> {
  const one = position === undefined ? {} : { first: position, count: 1 };
  const call = { ...asked, ...options, ...one };
  const drawing = (): Promise<Generated> => {
    if (sourcePrompt !== undefined) return drawEdited(pipeline, sourcePrompt, call);
    return refiner === null
      ? pipeline.generate(call)
      : drawRefined([pipeline, refiner], { start: refinerStart, keep }, call);
  };
  const { images, ...drawn } = await drawing();
  if (images === null) throw new DpmError('ERR_DPM_INTERNAL', 'a pipeline has drawn no images');
  return { ...drawn, images };
}

/** Completes what was asked for by what the pipeline takes where nothing is said. */
function completed(
  pipeline: TextToImage,
  asked: DrawingParameters,
  drawn: Generated & { images: ImageBatch },
  picture: Pick<GenerateOptions, 'image' | 'mask'>,
  isRefined: boolean,
) {
  const [, , height, width] = drawn.images.shape;
  const tile = drawn.tile ?? undefined;
  const { sampler, seed } = generateDefaults;
  const refined = isRefined && { refinerStart: standardRefinerStart };
  const standards = { sampler, ...editedDefaults(asked), seed: BigInt(seed), ...pipeline.defaults, ...refined };
  const whole = { ...standards, ...asked, height, width, tile };
  if (picture.image === undefined || asked.sourcePrompt !== undefined) return whole;
  return { strength: standardStrength(picture.mask), ...whole };
}

/** Writes the images, each PNG with the parameters that it can be drawn again of. */
async function save(
  out: string,
  images: ImageBatch,
  scale: number | undefined,
  parametersAt: ((position: number | undefined) => string) | null,
): Promise<void> {
  const textsAt = (position: number | undefined): PictureOptions => ({
    scale,
    ...(parametersAt !== null && { texts: { [parametersKeyword]: parametersAt(position) } }),
  });
  if (imageFileKind(out) !== 'folder') return images.save(out, textsAt(undefined));
  const pictures = Array.from(images, (image, k) => image.toPng(textsAt(images.count > 1 ? k : undefined)));
  return saveFolder(out, pictures);
}

export const generateCommand: Command = {
  name: 'generate',
  summary: 'Draws images of a text with a text-to-image pipeline.',
  arguments: ['MODEL', '[PROMPT]'],
  options: {
    out: outSpec('grid in a .png, values in a .safetensors, or a folder with a PNG of each image', 'MODEL', '.png'),
    scale: scaleSpec,
    from: { value: 'FILE', help: 'PNG of this command that is drawn again; what is given here replaces what it says' },
    'no-metadata': { help: 'write no prompt and options into PNGs' },
    negative: specOf(facts.negativePrompt),
    count: specOf(facts.count),
    steps: specOf(facts.steps),
    sampler: specOf(facts.sampler),
    guidance: specOf(facts.guidance),
    'guidance-rescale': specOf(facts.guidanceRescale),
    image: { value: 'FILE', help: 'picture to begin with (.png), or several, one for each image (a folder)' },
    strength: specOf(facts.strength),
    'source-prompt': sourcePromptSpec,
    mask: {
      value: 'FILE',
      help: 'part of the picture to begin with that is drawn anew, white in a .png, or one for each (a folder)',
    },
    ...controlSpecs,
    size: sizeSpec(),
    seed: specOf(facts.seed),
    'clip-skip': specOf(facts.skippedLayers),
    tile: specOf(facts.tile),
    'long-prompts': specOf(facts.longPrompts),
    batch: specOf(facts.batch),
    keep: specOf(pipelineOptionFacts.keep),
    config: specOf(pipelineOptionFacts.config),
    ...pipelineOptions,
    ...refinerOptions,
    ...deviceOptions,
  },
  async run(call) {
    const { options, json, signal } = call;
    const [model = ''] = call.positionals;
    const planned = await outOf(options, modelName(model), '.png');
    await checkTarget(planned, { flag: '--out', endings: ['.png', '.safetensors'], folder: true });
    askedScale(options, planned);
    const asked = await askedParameters(call);
    const begun = await pictureOf(options, asked);
    const controls = await controlsOf(options, asked.position);
    const refinerPath = refinerPathOf(options, asked);
    const keep = options.choice('keep', keptParts);
    await using pipeline = await TextToImage.load(model, {
      ...pipelineLoadOptions(options),
      controlNets: options.strings('controlnet'),
      signal,
    });
    await using refiner =
      refinerPath === null ? null : await TextToImage.load(refinerPath, { ...deviceSettings(options), keep, signal });
    const progress = progressBar('steps', json);
    const started = performance.now();
    const batch = options.integer('batch');
    const drawn = await draw([pipeline, refiner], asked, {
      ...begun,
      controls,
      keep,
      batch,
      signal,
      onProgress: progress.update,
    }).finally(() => {
      progress.stop();
    });
    const { images, truncated, tile } = drawn;
    const seconds = (performance.now() - started) / 1000;
    const whole = completed(pipeline, asked, drawn, begun, refiner !== null);
    const loras = lorasOf(options)?.map(({ path, scale }) => ({ name: basename(path, '.safetensors'), scale }));
    const parametersAt = (position: number | undefined): string =>
      formatParameters({ ...whole, position: position ?? whole.position }, basename(resolve(model)), {
        loras,
        controls: namedControls(options, controls),
        ...(refinerPath !== null && { refiner: basename(resolve(refinerPath)) }),
      });
    const texts = options.flag('no-metadata') ? null : parametersAt;
    const out = await writeOut(options, modelName(model), '.png', (path) =>
      save(path, images, scaleFor(options, path, images.shape), texts),
    );
    const isTruncated = truncated.includes(true);
    if (json) {
      printJson({ out, shape: images.shape, seconds, truncated: isTruncated, tile });
      return;
    }
    if (tile !== null && asked.tile === undefined) printNote(`for lack of memory decoded in tiles of ${tile} latents`);
    if (isTruncated) printNote('the prompt is longer than the text encoder reads: see dpm tokens');
    printLine(`${counted(truncated.length, 'image')} in ${seconds.toFixed(1)} s -> ${out}`);
  },
};
