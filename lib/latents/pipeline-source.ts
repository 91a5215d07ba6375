import { join } from 'node:path';

import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { modelPath } from '../checkpoint/model-path.js';
import type { ReadAutoencoder } from '../checkpoint/pipelines/autoencoder.js';
import type { ReadConditional } from '../checkpoint/pipelines/conditional.js';
import { readAutoencoderAt } from '../checkpoint/pipelines/single-file/autoencoder-file.js';
import {
  readSingleFile,
  type FileTextEncoder,
  type SingleFile,
  type SingleFileOptions,
} from '../checkpoint/pipelines/single-file/single-file.js';
import {
  isSingleFile,
  readConditionalAt,
  requireNoFileOptions,
} from '../checkpoint/pipelines/single-file/unet-file.js';
import { readTextEncoder, type ReadTextEncoder } from '../checkpoint/pipelines/text-encoder.js';
import { readGamma, readObject, requireSchedulerFile } from '../checkpoint/read-model.js';
import { isThere } from '../files/files.js';
import { ClipTokenizer } from '../text/tokenizer.js';
import type { GammaTable } from '../variance/gamma.js';
import { readPipelineFolder, type PipelineFolder } from './pipeline-folder.js';

/** What a call takes for granted where it says nothing. */
export type PipelineDefaults = Pick<PipelineFolder, 'kind' | 'guidance' | 'steps' | 'zerosForNone' | 'seesScore'>;

/** A text encoder with its tokenizer. */
export interface EncoderSource {
  /** Configuration of the encoder and folder of the tokenizer, for messages. */
  readonly names: { readonly encoder: string; readonly tokenizer: string };
  readonly read: () => Promise<ReadTextEncoder>;
  readonly tokenizer: () => Promise<ClipTokenizer>;
}

/** Paths of parts in place of a pipeline's own. */
export interface GivenParts extends SingleFileOptions {
  unet?: string | undefined;
  vae?: string | undefined;
  /** Paths for each text encoder; none: the pipeline's own. */
  textEncoder: readonly string[];
  tokenizer: readonly string[];
}

/** A configuration of a scheduler, and its name in messages. */
export interface SchedulerSource {
  readonly config: Readonly<Record<string, unknown>>;
  readonly source: string;
}

/** Parts of a pipeline, read from a folder or from a single file. */
export interface PipelineSource {
  readonly defaults: PipelineDefaults;
  /** What the pipeline is, and what told. */
  readonly evidence: string;
  /** True if nothing says what the U-Net predicts. */
  readonly isUndecided: boolean;
  /** Configurations or files, for messages. */
  readonly names: { readonly unet: string; readonly vae: string };
  readonly encoders: readonly EncoderSource[];
  /** Folders of its ControlNets. */
  readonly controlNets: readonly string[];
  /** Table of second moments in the folder; null: there is none. */
  gamma(): Promise<GammaTable | null>;
  scheduler(): Promise<SchedulerSource>;
  unet(): Promise<ReadConditional>;
  autoencoder(): Promise<ReadAutoencoder>;
}

async function schedulerIn(path: string): Promise<SchedulerSource> {
  const source = await requireSchedulerFile(path);
  return { config: await readObject(source), source };
}

/** Completes paths to one for each of the text encoders. */
function perEncoder(name: string, given: readonly string[], count: number): readonly (string | null)[] {
  if (given.length === 0) return new Array<null>(count).fill(null);
  if (given.length === count) return given;
  // One vocabulary may serve both encoders.
  if (name === 'tokenizer' && given.length === 1) return new Array<string>(count).fill(at(given, 0));
  throw new DpmError('ERR_DPM_ARGUMENT', `${name} has ${given.length} paths for ${count} text encoders`);
}

/** A pipeline of a folder, in which other parts may be given. */
async function folderSource(path: string, parts: GivenParts): Promise<PipelineSource> {
  const { unet, vae, config, ema } = parts;
  const ofFile = { config, ema };
  const isFile = unet !== undefined && (await isSingleFile(await modelPath(unet)));
  if (!isFile) requireNoFileOptions(path, ofFile);
  const { encoders, controlNets, ...defaults } = await readPipelineFolder(path);
  const folders = perEncoder('textEncoder', parts.textEncoder, encoders.length);
  const tokenizers = perEncoder('tokenizer', parts.tokenizer, encoders.length);
  return {
    defaults,
    evidence: `${defaults.kind} (${join(path, 'model_index.json')})`,
    isUndecided: false,
    names: { unet: unet ?? join(path, 'unet', 'config.json'), vae: vae ?? join(path, 'vae', 'config.json') },
    encoders: encoders.map((own, i) => {
      const [encoder, tokenizer] = [at(folders, i) ?? own.encoder, at(tokenizers, i) ?? own.tokenizer];
      return {
        names: { encoder: join(encoder, 'config.json'), tokenizer },
        read: () => readTextEncoder(encoder),
        tokenizer: () => ClipTokenizer.load(tokenizer),
      };
    }),
    controlNets,
    gamma: () => readGamma(path),
    scheduler: () => schedulerIn(path),
    unet: async () => (unet === undefined ? readConditionalAt(join(path, 'unet')) : readUNet(unet, ofFile)),
    autoencoder: async () => readAutoencoderAt(vae === undefined ? join(path, 'vae') : await modelPath(vae)),
  };
}

async function readUNet(path: string, { config, ema }: SingleFileOptions): Promise<ReadConditional> {
  const found = await modelPath(path);
  return readConditionalAt(found, (await isSingleFile(found)) ? { config, ema } : {});
}

/** Number of ids of CLIP's own vocabulary. */
const CLIP_VOCABULARY = 49_408;

/** Finds the tokenizer of a file's text encoder: the given one, that of its configuration's folder, or CLIP's own. */
async function tokenizerFor(
  file: SingleFile,
  { padding, tokenizer, read }: Pick<FileTextEncoder, 'padding' | 'tokenizer'> & Pick<EncoderSource, 'read'>,
  given: string | null,
): Promise<ClipTokenizer> {
  if (given !== null) return ClipTokenizer.load(given);
  const own = file.folder === null ? null : join(file.folder, tokenizer);
  if (own !== null && (await isThere(own))) return ClipTokenizer.load(own);
  const { vocabulary } = (await read()).description;
  if (vocabulary === CLIP_VOCABULARY) return ClipTokenizer.padded(padding);
  throw new DpmError(
    'ERR_DPM_CONFIG',
    `${file.path}: the text encoder has ${vocabulary} tokens, CLIP's vocabulary ${CLIP_VOCABULARY}: give its own by tokenizer`,
  );
}

/** Text encoders of an architecture in place of those that a file lacks. */
const lacking: Readonly<Record<SingleFile['architecture'], readonly Pick<FileTextEncoder, 'padding' | 'tokenizer'>[]>> =
  {
    sd1: [{ padding: '<|endoftext|>', tokenizer: 'tokenizer' }],
    sd2: [{ padding: '!', tokenizer: 'tokenizer' }],
    sdxl: [
      { padding: '<|endoftext|>', tokenizer: 'tokenizer' },
      { padding: '!', tokenizer: 'tokenizer_2' },
    ],
    'sdxl-refiner': [{ padding: '!', tokenizer: 'tokenizer_2' }],
  };

function fileEncoders(file: SingleFile, parts: GivenParts): EncoderSource[] {
  const wanted = lacking[file.architecture];
  const folders = perEncoder('textEncoder', parts.textEncoder, wanted.length);
  const tokenizers = perEncoder('tokenizer', parts.tokenizer, wanted.length);
  return wanted.map((facts, i) => {
    const folder = at(folders, i);
    const own = file.encoders.find(({ tokenizer }) => tokenizer === facts.tokenizer);
    if (folder === null && own === undefined) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `${file.path} lacks a text encoder: give the folder of one by textEncoder`,
      );
    }
    const read = folder === null && own !== undefined ? () => own.read() : () => readTextEncoder(folder ?? '');
    const names = {
      encoder: folder === null ? file.path : join(folder, 'config.json'),
      tokenizer: at(tokenizers, i) ?? (file.folder === null ? 'CLIP' : join(file.folder, facts.tokenizer)),
    };
    return { names, read, tokenizer: () => tokenizerFor(file, { ...facts, read }, at(tokenizers, i)) };
  });
}

async function defaultsOf({ folder, preset, architecture }: SingleFile): Promise<PipelineDefaults> {
  if (folder !== null) return readPipelineFolder(folder);
  const { guidance, steps } = preset;
  const seesScore = architecture === 'sdxl-refiner';
  const kind = architecture === 'sdxl' || seesScore ? 'sdxl' : 'sd';
  return { kind, guidance, steps, zerosForNone: architecture === 'sdxl', seesScore };
}

/** A pipeline of a single file, in which other parts may be given. */
async function fileSource(path: string, parts: GivenParts): Promise<PipelineSource> {
  const { unet, vae, config, ema } = parts;
  const file = await readSingleFile(path, { config, ema });
  const { architecture, evidence, folder, prediction, scheduler, preset } = file;
  const own = file.autoencoder;
  if (vae === undefined && own === null) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${path} has no autoencoder: give the path of one by vae`);
  }
  const says = prediction === null ? '' : `, prediction ${prediction.type} (${prediction.from})`;
  return {
    defaults: await defaultsOf(file),
    evidence: `${architecture} (${evidence})${folder === null ? says : ''}`,
    isUndecided: prediction === null && folder === null,
    names: { unet: unet ?? path, vae: vae ?? path },
    encoders: fileEncoders(file, parts),
    controlNets: [],
    gamma: () => Promise.resolve(null),
    scheduler: async () =>
      folder === null ? { config: scheduler, source: `${path}, by its tensors` } : schedulerIn(folder),
    unet: async () => (unet === undefined ? file.unet() : readUNet(unet, { config, ema })),
    autoencoder: async () =>
      vae === undefined && own !== null
        ? own()
        : readAutoencoderAt(await modelPath(vae ?? ''), undefined, preset.scale),
  };
}

/**
 * Reads what a pipeline is made of: a folder in diffusers' layout, or a single file. Its networks are read when they are
 * asked for.
 *
 * @throws {@link DpmError} naming the file and the wrong field, tensor or option.
 */
export async function readPipelineSource(given: string | URL, parts: GivenParts): Promise<PipelineSource> {
  const path = await modelPath(given);
  return (await isSingleFile(path)) ? fileSource(path, parts) : folderSource(path, parts);
}
