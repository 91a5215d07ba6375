import { join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import type { TrainableNetwork } from '../../checkpoint/trainable.js';
import { modelPath } from '../../checkpoint/model-path.js';
import { captionedPrefixes, trainableCaptioned } from '../../checkpoint/pipelines/trainable-captioned.js';
import { pipelineFiles, tokenizerFiles } from '../../checkpoint/folder-files.js';
import { readObject, requireSchedulerFile } from '../../checkpoint/read-model.js';
import { digestOfModel } from '../../checkpoint/digest.js';
import { parseTextEncoderConfig } from '../../checkpoint/pipelines/text-encoder.js';
import { isThere } from '../../files/files.js';
import { ClipTokenizer } from '../../text/tokenizer.js';
import type { OpenedImages } from '../data/open-images.js';
import type { BeginningFile, ModelFiles } from '../run-folder/model-files.js';
import type { TakenOptions } from '../taken-options.js';
import { filesOfHead, headOfPipeline, withWeightsOfHead } from './captioned-head.js';
import { encodedByRun, readLatentSource, type LatentSource } from './latent-source.js';
import { textsOfImages, type GivenCaptions, type ImageTexts } from './given-captions.js';
import { pipelineWeights, readGivenPipeline } from './given-pipeline.js';
import { learnedTokenizer, tokenizedCaptions, type TokenizedCaptions } from './tokenized-captions.js';

type Fields = Readonly<Record<string, unknown>>;

/** A text encoder and a U-Net that learn together, and what they learn from. */
export interface CaptionedTrainee {
  readonly trainable: TrainableNetwork;
  /** The images as they are. */
  readonly images: OpenedImages;
  readonly captions: TokenizedCaptions;
  /** Encodes the images, which takes a while. */
  readonly encoded: () => Promise<LearnedLatents>;
}

/** Images in latents, and what follows from their scale. */
export interface LearnedLatents {
  /** Latents of the images, scaled to a mean square of about 1. */
  readonly images: OpenedImages;
  /** Lists the files of the pipeline's folder. */
  readonly filesOf: (trainable: TrainableNetwork) => ModelFiles;
}

const json = (fields: Fields): BeginningFile => ({ json: fields });

/** Lists the files of a pipeline beside its weights. */
function beginningOf(
  { config, scheduler }: Pick<TrainableNetwork, 'config' | 'scheduler'>,
  { config: autoencoder, weights }: Pick<LatentSource, 'config' | 'weights'>,
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

/** Lists the two files of the weights of a pipeline's networks. */
function weightFiles(learns: boolean): ModelFiles['weights'] {
  const files = [
    [captionedPrefixes.unet, join('unet', 'diffusion_pytorch_model.safetensors')],
    [captionedPrefixes.textEncoder, join('text_encoder', 'model.safetensors')],
  ] as const;
  return files.map(([prefix, path]) => ({
    path,
    nameOf: (tensor) => (tensor.startsWith(prefix) ? tensor.slice(prefix.length) : null),
    learns,
  }));
}

/** A tokenizer, its files and those that go with them, and the text encoder's configuration for it. */
interface TokenizerOfRun {
  readonly tokenizer: ClipTokenizer;
  readonly files: ReadonlyMap<string, BeginningFile>;
  readonly textEncoder: Fields;
}

/** Learns a tokenizer as large and as long as the text encoder's configuration says. */
function newTokenizer(texts: ImageTexts, textEncoder: Fields, source: string): TokenizerOfRun {
  // The id of the end is known when the vocabulary is.
  const begun = { ...textEncoder, eos_token_id: 0 };
  const { vocabulary, tokens } = parseTextEncoderConfig(begun, `${source}: text_encoder`).description;
  const { tokenizer, files } = learnedTokenizer(texts, { size: vocabulary, length: tokens });
  const end = tokenizer.vocabulary - 1;
  const ids = { vocab_size: tokenizer.vocabulary, bos_token_id: end - 1, eos_token_id: end, pad_token_id: end };
  return {
    tokenizer,
    files: new Map(Object.entries<string>({ ...files }).map(([name, text]) => [join('tokenizer', name), { text }])),
    textEncoder: { ...textEncoder, ...ids },
  };
}

/** Reads the tokenizer of a pipeline's folder. */
async function ownTokenizer(folder: string, textEncoder: Fields): Promise<TokenizerOfRun> {
  const path = join(folder, 'tokenizer');
  const tokenizer = await ClipTokenizer.load(path);
  const all = [...tokenizerFiles.required, ...tokenizerFiles.others];
  const found = await Promise.all(all.map((name) => isThere(join(path, name))));
  const names = all.filter((_, i) => found[i]);
  const files = new Map<string, BeginningFile>(
    names.map((name) => [join('tokenizer', name), { from: join(path, name) }]),
  );
  // What a pipeline's makers draw with is as true of what it learns further.
  const { generation } = pipelineFiles;
  if (await isThere(join(folder, generation))) files.set(generation, { from: join(folder, generation) });
  return { tokenizer, files, textEncoder };
}

/**
 * Reads what learns from captions: the tokenizer, or one that is learned from the captions, the text encoder, the U-Net, and the
 * autoencoder, which encodes the images when it is asked to.
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
  const { source, folder, configsFor } = await readGivenPipeline(options.network);
  const latents = options.latents ?? (folder === null ? undefined : join(folder, 'vae'));
  if (latents === undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'captions: give latents, the autoencoder in whose latents they are learned');
  }
  const texts = await textsOfImages(captions, path, images.shape[0]);
  const autoencoder = await readLatentSource(await modelPath(latents), images.shape);
  const configs = configsFor(autoencoder.shape);
  const { tokenizer, files, textEncoder } =
    folder === null
      ? newTokenizer(texts, configs.textEncoder, source)
      : await ownTokenizer(folder, configs.textEncoder);
  const { schedule } = options;
  const scheduler = schedule === undefined ? configs.scheduler : await readObject(await requireSchedulerFile(schedule));
  const given = { unet: configs.unet, textEncoder, scheduler };
  const head = folder === null ? noHead(options) : await headOfPipeline(folder, given, options);
  const weights = folder === null ? null : await withWeightsOfHead(folder, await pipelineWeights(folder), head);
  const trainable = trainableCaptioned(given, source, autoencoder.shape, weights, head);
  requireFittingTokenizer(source, trainable.text, tokenizer);
  const tokenized = tokenizedCaptions(texts, tokenizer);
  return {
    trainable,
    images,
    captions: tokenized,
    async encoded() {
      const { latents: values, config } = await encodedByRun(autoencoder, images, options);
      const fingerprint = `${images.fingerprint} ${tokenized.fingerprint} ${await digestOfModel(autoencoder.weights)}`;
      return {
        images: {
          images: values,
          labels: null,
          shape: [images.shape[0], ...autoencoder.shape],
          fingerprint,
          broken: 0,
        },
        filesOf: (changed) => filesOfPipeline(changed, { config, weights: autoencoder.weights }, files),
      };
    },
  };
}

/** Lists the files of a pipeline's folder, those of a head that learns on it included. */
function filesOfPipeline(
  trainable: TrainableNetwork,
  autoencoder: Pick<LatentSource, 'config' | 'weights'>,
  tokenizer: ReadonlyMap<string, BeginningFile>,
): ModelFiles {
  const ofHead = filesOfHead(trainable.head);
  return {
    config: trainable.config,
    beginning: new Map([...beginningOf(trainable, autoencoder, tokenizer), ...ofHead.beginning]),
    weights: [...weightFiles(trainable.head === null), ...ofHead.weights],
  };
}

/** Refuses a head on networks that begin with nothing. */
function noHead({ head }: TakenOptions): null {
  if (head === undefined) return null;
  throw new DpmError('ERR_DPM_ARGUMENT', 'head: a head learns on a pipeline that has learned, not on a configuration');
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
