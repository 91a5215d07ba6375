import { join } from 'node:path';

import { pipelineFiles } from '../checkpoint/folder-files.js';
import { modelPath } from '../checkpoint/model-path.js';
import { readObject } from '../checkpoint/read-model.js';
import { ConfigReader } from '../files/config-reader.js';
import { isThere } from '../files/files.js';

/** Kinds of pipelines: what their texts become, and the guidance that their library gives by default. */
const kindsOfPipelines = {
  StableDiffusionPipeline: { kind: 'sd', guidance: 7.5, steps: 50 },
  StableDiffusionImg2ImgPipeline: { kind: 'sd', guidance: 7.5, steps: 50 },
  StableDiffusionInpaintPipeline: { kind: 'sd', guidance: 7.5, steps: 50 },
  LatentConsistencyModelPipeline: { kind: 'sd', guidance: 8.5, steps: 4 },
  StableDiffusionControlNetPipeline: { kind: 'sd', guidance: 7.5, steps: 50 },
  StableDiffusionControlNetImg2ImgPipeline: { kind: 'sd', guidance: 7.5, steps: 50 },
  StableDiffusionControlNetInpaintPipeline: { kind: 'sd', guidance: 7.5, steps: 50 },
  StableDiffusionXLPipeline: { kind: 'sdxl', guidance: 5, steps: 50 },
  StableDiffusionXLImg2ImgPipeline: { kind: 'sdxl', guidance: 5, steps: 50 },
  StableDiffusionXLInpaintPipeline: { kind: 'sdxl', guidance: 7.5, steps: 50 },
  StableDiffusionXLControlNetPipeline: { kind: 'sdxl', guidance: 5, steps: 50 },
  StableDiffusionXLControlNetImg2ImgPipeline: { kind: 'sdxl', guidance: 5, steps: 50 },
} as const;

/** A folder of a text-to-image pipeline in diffusers' layout. */
export interface PipelineFolder {
  readonly path: string;
  readonly kind: 'sd' | 'sdxl';
  /** Guidance weight and number of steps where a call says nothing. */
  readonly guidance: number;
  readonly steps: number;
  /** True if the absent negative prompt of a pipeline with pooled states is zeros, not the empty text. */
  readonly zerosForNone: boolean;
  /** True if the U-Net sees an aesthetic score behind the sizes, as refiners do. */
  readonly seesScore: boolean;
  /** Folders of the two encoders and their tokenizers; one where the pipeline has one, as a refiner has the second alone. */
  readonly encoders: readonly { readonly encoder: string; readonly tokenizer: string }[];
  /** Folders of its ControlNets. */
  readonly controlNets: readonly string[];
}

/** Classes of the parts of a pipeline; any scheduler, as a caller may give another schedule. */
const classesOfParts: Readonly<Record<string, readonly string[] | null>> = {
  unet: ['UNet2DConditionModel'],
  vae: ['AutoencoderKL', 'AutoencoderTiny'],
  scheduler: null,
};

/** Classes of a text encoder and its tokenizer. */
const classesOfTexts: Readonly<Record<string, readonly string[]>> = {
  text_encoder: ['CLIPTextModel', 'CLIPTextModelWithProjection'],
  tokenizer: ['CLIPTokenizer', 'CLIPTokenizerFast'],
};

/** Tells whether the pipeline has a part, which its file lists as [library, class]. */
function hasPart(config: ConfigReader, name: string): boolean {
  const part = config.raw(name);
  return Array.isArray(part) && typeof part[0] === 'string';
}

/** Requires a part, of a class that is supported. */
function requirePart(config: ConfigReader, name: string, classes: readonly string[] | null): void {
  if (!hasPart(config, name)) throw config.error(name, 'a part of the pipeline, [library, class]');
  const [, itsClass] = config.raw(name) as unknown[];
  if (classes === null || classes.some((each) => each === itsClass)) return;
  throw config.unsupported(name, classes.join(', '));
}

/** Class of the library that holds several ControlNets, whose folders have numbers but for the first. */
const severalControls = 'MultiControlNetModel';

/** Lists the folders of a pipeline's ControlNets. */
async function controlFolders(path: string, config: ConfigReader): Promise<string[]> {
  if (!hasPart(config, 'controlnet')) return [];
  requirePart(config, 'controlnet', ['ControlNetModel', severalControls]);
  const [, itsClass] = config.raw('controlnet') as unknown[];
  const folders = [join(path, 'controlnet')];
  if (itsClass !== severalControls) return folders;
  for (let next = join(path, 'controlnet_1'); await isThere(join(next, 'config.json'));) {
    folders.push(next);
    next = join(path, `controlnet_${folders.length}`);
  }
  return folders;
}

/**
 * Reads the number of steps and the weight of guidance that a pipeline's folder says, with the names of the library's options:
 * the library itself has no place for them.
 */
async function ownDefaults(path: string): Promise<Partial<Pick<PipelineFolder, 'guidance' | 'steps'>>> {
  const file = join(path, pipelineFiles.generation);
  if (!(await isThere(file))) return {};
  const config = new ConfigReader(await readObject(file), file);
  const guidance = config.numberOrNull('guidance_scale');
  const steps = config.integerOrNull('num_inference_steps', null, { least: 1, most: 1_000_000 });
  return { ...(guidance !== null && { guidance }), ...(steps !== null && { steps }) };
}

/**
 * Reads `model_index.json` of a pipeline's folder, and `generation_config.json` where there is one.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE`, `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the file and field.
 */
export async function readPipelineFolder(given: string | URL): Promise<PipelineFolder> {
  const path = await modelPath(given);
  const file = join(path, 'model_index.json');
  const config = new ConfigReader(await readObject(file), file);
  const names = Object.keys(kindsOfPipelines) as (keyof typeof kindsOfPipelines)[];
  const { kind, ...defaults } = kindsOfPipelines[config.choice('_class_name', 'StableDiffusionPipeline', names)];
  for (const [name, classes] of Object.entries(classesOfParts)) requirePart(config, name, classes);
  const seesScore = kind === 'sdxl' && config.boolean('requires_aesthetics_score', false);
  const hasFirst = !seesScore || hasPart(config, 'text_encoder');
  const suffixes = kind === 'sdxl' ? [...(hasFirst ? [''] : []), '_2'] : [''];
  for (const suffix of suffixes) {
    for (const [name, classes] of Object.entries(classesOfTexts)) requirePart(config, `${name}${suffix}`, classes);
  }
  return {
    path,
    kind,
    ...defaults,
    ...(await ownDefaults(path)),
    seesScore,
    zerosForNone: kind === 'sdxl' && config.boolean('force_zeros_for_empty_prompt', true),
    encoders: suffixes.map((suffix) => ({
      encoder: join(path, `text_encoder${suffix}`),
      tokenizer: join(path, `tokenizer${suffix}`),
    })),
    controlNets: await controlFolders(path, config),
  };
}
