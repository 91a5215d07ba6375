import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import type { TrainableNetwork } from '../../checkpoint/trainable.js';
import { modelPath } from '../../checkpoint/model-path.js';
import { captionedPrefixes, trainableCaptioned } from '../../checkpoint/pipelines/trainable-captioned.js';
import { readObject, requireSchedulerFile } from '../../checkpoint/read-model.js';
import { findWeights } from '../../checkpoint/weight-files.js';
import { deviceOptionFacts } from '../../engine/device.js';
import { Autoencoder } from '../../latents/autoencoder.js';
import type { OpenedImages } from '../data/open-images.js';
import type { BeginningFile, ModelFiles } from '../run-folder/model-files.js';
import type { TakenOptions } from '../taken-options.js';
import { encodedImages, measuredScale } from './encoded-images.js';
import { textsOfImages, type GivenCaptions } from './given-captions.js';
import { pipelineWeights, readGivenPipeline } from './given-pipeline.js';
import { learnedTokenizer, readTokenizer, tokenizedCaptions, type TokenizedCaptions } from './tokenized-captions.js';

type Fields = Readonly<Record<string, unknown>>;

/** A text encoder and a U-Net that learn together, and what they learn from. */
export interface CaptionedTrainee {
  readonly trainable: TrainableNetwork;
  /** Latents of the images, scaled to a mean square of about 1. */
  readonly images: OpenedImages;
  readonly captions: TokenizedCaptions;
  /** Lists the files of the pipeline's folder. */
  readonly filesOf: (trainable: TrainableNetwork) => ModelFiles;
}

/** Options that are for networks which see no text, or for images that are no latents. */
const useless = [
  'config',
  'head',
  'headMode',
  'classifier',
  'autoencoder',
  'labelDropout',
  'dropout',
  'cropMargin',
  'flips',
  'skipBroken',
] as const;

/** Refuses options that networks which learn captions have no use for. */
export function requireOptionsOfCaptions(options: TakenOptions): void {
  const name = useless.find((each) => options[each] !== undefined && options[each] !== false && options[each] !== 0);
  if (name !== undefined)
    throw new DpmError('ERR_DPM_ARGUMENT', `${name}: networks that learn captions have no use for it`);
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path) as AsyncIterable<Buffer>) hash.update(part);
  return hash.digest('hex');
}

/** An autoencoder's files, and the images that it has encoded. */
interface Encoded {
  readonly data: OpenedImages;
  /** Configuration with the scale of the latents. */
  readonly config: Fields;
  readonly weights: string;
  readonly digest: string;
}

/** Encodes the images, and finds the scale of the latents where the autoencoder's configuration has none. */
async function encoded(folder: string, images: OpenedImages, options: TakenOptions): Promise<Encoded> {
  const config = await readObject(join(folder, 'config.json'));
  const weights = await findWeights(folder, 'diffusion_pytorch_model');
  if (!weights.endsWith('.safetensors')) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${weights}: latents are those of an autoencoder in one file of safetensors`,
    );
  }
  const device = Object.fromEntries(Object.keys(deviceOptionFacts).map((name) => [name, options[name as 'device']]));
  await using autoencoder = await Autoencoder.load(folder, device);
  const { latents, shape } = await encodedImages(images, autoencoder, options);
  const own = config.scaling_factor;
  const scale = typeof own === 'number' ? null : measuredScale(latents);
  const scaled = scale === null ? autoencoder.toDiffusion(latents) : latents.map((value) => value * scale);
  return {
    data: { images: scaled, labels: null, shape, fingerprint: images.fingerprint, broken: images.broken },
    config: scale === null ? config : { ...config, scaling_factor: scale },
    weights,
    digest: await hashOf(weights),
  };
}

const json = (fields: Fields): BeginningFile => ({ json: fields });

/** Lists the files of a pipeline beside its weights. */
function beginningOf(
  { config, scheduler }: Pick<TrainableNetwork, 'config' | 'scheduler'>,
  { config: autoencoder, weights }: Encoded,
  tokenizer: ReadonlyMap<string, BeginningFile>,
): ModelFiles['beginning'] {
  const { unet, text_encoder: textEncoder } = config as Readonly<Record<string, Fields>>;
  const index = {
    _class_name: 'StableDiffusionPipeline',
    feature_extractor: [null, null],
    requires_safety_checker: false,
    safety_checker: [null, null],
    scheduler: ['diffusers', scheduler?._class_name],
    text_encoder: ['transformers', 'CLIPTextModel'],
    tokenizer: ['transformers', 'CLIPTokenizer'],
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', autoencoder._class_name],
  };
  return new Map([
    [join('unet', 'config.json'), json(unet ?? {})],
    [join('text_encoder', 'config.json'), json(textEncoder ?? {})],
    ...tokenizer,
    [join('scheduler', 'scheduler_config.json'), json(scheduler ?? {})],
    [join('vae', 'config.json'), json(autoencoder)],
    [join('vae', 'diffusion_pytorch_model.safetensors'), { from: weights }],
    ['model_index.json', json(index)],
  ]);
}

/** The two files of a pipeline's weights that learn. */
const weightFiles: ModelFiles['weights'] = (
  [
    [captionedPrefixes.unet, join('unet', 'diffusion_pytorch_model.safetensors')],
    [captionedPrefixes.textEncoder, join('text_encoder', 'model.safetensors')],
  ] as const
).map(([prefix, path]) => ({
  path,
  nameOf: (tensor) => (tensor.startsWith(prefix) ? tensor.slice(prefix.length) : null),
  learns: true,
}));

const tokenizerNames = ['vocab.json', 'merges.txt', 'special_tokens_map.json', 'tokenizer_config.json'];

/**
 * Reads what learns from captions: the autoencoder whose latents are learned, the tokenizer, or one that is learned from the
 * captions, the text encoder and the U-Net.
 *
 * @param images - Images of the data.
 * @param path - Path of the data; null for images in memory.
 * @throws {@link DpmError} naming the file, field or option.
 */
export async function readCaptioned(
  options: TakenOptions,
  captions: GivenCaptions,
  images: OpenedImages,
  path: string | null,
): Promise<CaptionedTrainee> {
  const given = await readGivenPipeline(options.network);
  const latents = options.latents ?? (given.folder === null ? undefined : join(given.folder, 'vae'));
  if (latents === undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'captions: give latents, the autoencoder in whose latents they are learned');
  }
  const texts = await textsOfImages(captions, path, images.shape[0]);
  const own = await encoded(await modelPath(latents), images, options);
  const shape = own.data.shape.slice(1) as [number, number, number];
  const configs = given.configsFor(shape);
  const { vocab_size: size, max_position_embeddings: length } = configs.textEncoder;
  const learned =
    given.folder === null ? learnedTokenizer(texts, { size: Number(size), length: Number(length) }) : null;
  const { tokenizer, ...known } = learned ?? (await readTokenizer(join(given.folder ?? '', 'tokenizer')));
  const last = known.size - 1;
  const ofSize = { vocab_size: known.size, bos_token_id: last - 1, eos_token_id: last, pad_token_id: last };
  const textEncoder = learned === null ? configs.textEncoder : { ...configs.textEncoder, ...ofSize };
  const scheduler =
    options.schedule === undefined ? configs.scheduler : await readObject(await requireSchedulerFile(options.schedule));
  const trainable = trainableCaptioned(
    { unet: configs.unet, textEncoder, scheduler },
    given.source,
    shape,
    given.folder === null ? null : await pipelineWeights(given.folder),
  );
  requireFittingTokenizer(given.source, trainable.text, tokenizer);
  const tokenized = tokenizedCaptions(texts, tokenizer);
  const files = tokenizerNames.map((name): [string, BeginningFile] => [
    join('tokenizer', name),
    learned === null
      ? { from: join(given.folder ?? '', 'tokenizer', name) }
      : { text: learned.files[name as keyof typeof learned.files] },
  ]);
  return {
    trainable,
    images: { ...own.data, fingerprint: `${images.fingerprint} ${tokenized.fingerprint} ${own.digest}` },
    captions: tokenized,
    filesOf: (changed) => ({
      config: changed.config,
      beginning: beginningOf(changed, own, new Map(files)),
      weights: weightFiles,
    }),
  };
}

/** Refuses a tokenizer whose ids the text encoder does not know. */
function requireFittingTokenizer(
  source: string,
  { tokens, vocabulary }: { tokens: number; vocabulary: number },
  tokenizer: { length: number; vocabulary: number },
): void {
  if (tokenizer.length === tokens && tokenizer.vocabulary <= vocabulary) return;
  throw new DpmError(
    'ERR_DPM_CONFIG',
    `${source}: the text encoder has ${tokens} tokens a text of ${vocabulary}, the tokenizer ${tokenizer.length} of ${tokenizer.vocabulary}`,
  );
}
