import { throwIfAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import { arrayOf, either, kinds, oneOf, type OptionKinds } from '../base/option-kinds.js';
import { INITIAL_RECORD } from '../base/random.js';
import { openedDevice, type OpenedDevice } from '../checkpoint/load-network.js';
import { modelPath } from '../checkpoint/model-path.js';
import { withControls } from '../checkpoint/pipelines/control.js';
import { readAutoencoderAt } from '../checkpoint/pipelines/single-file/autoencoder-file.js';
import { pipelinePresets } from '../checkpoint/pipelines/single-file/presets.js';
import { readObject, requireSchedulerFile } from '../checkpoint/read-model.js';
import { normals, sampleStreams } from '../engine/normals.js';
import { NoiseSchedule, scheduleKind } from '../schedule/noise-schedule.js';
import type { GammaTable } from '../variance/gamma.js';
import {
  checkedEmbeddings,
  embeddingList,
  embeddingOptionFacts,
  withEmbeddings,
  type EmbeddingOptions,
} from './added-tokens.js';
import { Autoencoder } from './autoencoder.js';
import { ConditionalUNet, controlNetList } from './conditional-unet.js';
import { decidePrediction } from './decide-prediction.js';
import { requireFittingParts } from './fitting.js';
import { latentFileFacts, type LatentFileOptions } from './load-options.js';
import { checkedLoras, loraList, loraOptionFacts, promptedWithLoras, type LoraOptions } from './loras.js';
import {
  readPipelineSource,
  type PipelineDefaults,
  type PipelineSource,
  type SchedulerSource,
} from './pipeline-source.js';
import { PromptEncoders } from './prompts.js';
import { stampsOf, SwappedNetworks, type PromptedNetworks } from './swapped-networks.js';

/** Parts of a pipeline whose weights stay in memory between calls. */
export type KeptParts = 'all' | 'unet' | 'none';

/** Every {@link KeptParts}. @internal */
export const keptParts: readonly KeptParts[] = ['all', 'unet', 'none'];

/** Options of {@link TextToImage.load}. */
export interface TextToImageLoadOptions extends LatentFileOptions {
  /** Noise schedule in place of the pipeline's: a schedule, or the path of a `scheduler_config.json` or of its folder. */
  schedule?: NoiseSchedule | string | undefined;
  /**
   * What the U-Net predicts, in place of what the scheduler's file or the single file says. Default for a single file of
   * Stable Diffusion 2 that does not say: what one evaluation of noise alone shows.
   */
  prediction?: 'epsilon' | 'v' | 'x0' | undefined;
  /** True for the averaged weights of a training checkpoint in one file (`model_ema.*`). Default false. */
  ema?: boolean | undefined;
  /** U-Net in place of the pipeline's, as {@link ConditionalUNet.load} takes it. */
  unet?: string | undefined;
  /** Files of low-rank additions (LoRA) to the U-Net and the text encoders, which are summed. Default none. */
  loras?: readonly LoraOptions[] | undefined;
  /** Folders of ControlNets in diffusers' layout, for {@link GenerateOptions.controls}. Default: those of the pipeline's folder. */
  controlNets?: readonly string[] | undefined;
  /** Files of embeddings of new tokens (textual inversion), which prompts may then have. Default none. */
  embeddings?: readonly EmbeddingOptions[] | undefined;
  /** Autoencoder in place of the pipeline's, as {@link Autoencoder.load} takes it. */
  vae?: string | undefined;
  /** Folder of the text encoder in place of the pipeline's, or one for each. */
  textEncoder?: string | readonly string[] | undefined;
  /** Folder of the tokenizer in place of the pipeline's, or one for each text encoder. Default for a single file: CLIP's. */
  tokenizer?: string | readonly string[] | undefined;
  /** Small autoencoder (TAESD) of the same latents, which makes previews, as {@link Autoencoder.load} takes it. Default: none. */
  preview?: string | undefined;
  /**
   * Parts whose weights stay in memory: `all`; `unet`: those of text encoders and autoencoder are freed after their work and
   * loaded anew for the next call; `none`: those of the U-Net, too, before images are decoded. Those of a stream are freed at
   * its end. Default `all`.
   */
  keep?: KeptParts | undefined;
}

/** What a U-Net may predict, by the names that scheduler files have for it. */
const libraryNames = { epsilon: 'epsilon', v: 'v_prediction', x0: 'sample' } as const;

/** Every value of `prediction`. @internal */
export const pipelinePredictions = Object.keys(libraryNames) as readonly (keyof typeof libraryNames)[];

const paths = either(kinds.string, arrayOf('an array of paths', kinds.string));

/** Facts about each option of {@link TextToImageLoadOptions}. @internal */
export const pipelineOptionFacts = {
  ...latentFileFacts,
  schedule: {
    kind: either(scheduleKind, kinds.string),
    help: "noise schedule in place of the pipeline's: a scheduler_config.json, or its folder",
    value: 'FILE',
  },
  prediction: {
    kind: oneOf(pipelinePredictions),
    help: `what the U-Net predicts: ${pipelinePredictions.join(', ')}`,
    otherwise: 'what the model says, else what one evaluation of noise shows',
    value: 'NAME',
  },
  ema: {
    kind: kinds.boolean,
    help: 'averaged weights of a training checkpoint in one file (model_ema.*)',
    standard: false,
  },
  unet: { kind: kinds.string, help: "U-Net in place of the pipeline's: a folder, or a file", value: 'PATH' },
  loras: {
    kind: loraList,
    help: 'low-rank additions (LoRA) to the U-Net and the text encoders, which are summed',
    otherwise: 'none',
    value: `${loraOptionFacts.path.value}[:${loraOptionFacts.scale.value}]`,
  },
  controlNets: {
    kind: controlNetList,
    help: "folders of ControlNets in diffusers' layout",
    otherwise: "those of the pipeline's folder",
    value: 'FOLDER',
  },
  embeddings: {
    kind: embeddingList,
    help: 'embeddings of new tokens (textual inversion), which prompts may then have',
    otherwise: 'none',
    value: `[${embeddingOptionFacts.token.value}=]${embeddingOptionFacts.path.value}`,
  },
  vae: {
    kind: kinds.string,
    help: "autoencoder in place of the pipeline's: a folder, a lone file, a whole model, or TAESD",
    value: 'PATH',
  },
  textEncoder: { kind: paths, help: "folder of the text encoder in place of the pipeline's, or one for each" },
  tokenizer: {
    kind: paths,
    help: "folder of the tokenizer in place of the pipeline's, or one for each text encoder",
    otherwise: "that of the folder, CLIP's for a single file",
  },
  preview: { kind: kinds.string, help: 'small autoencoder (TAESD), which makes previews', otherwise: 'none' },
  keep: {
    kind: oneOf(keptParts),
    help: `parts whose weights stay in memory: ${keptParts.join(', ')}`,
    standard: 'all',
    value: 'PARTS',
  },
} as const satisfies OptionFacts<TextToImageLoadOptions>;

/** @internal */
export const pipelineLoadKinds: OptionKinds<TextToImageLoadOptions> =
  kindsOf<TextToImageLoadOptions>(pipelineOptionFacts);

const { keep: standardKeep } = standardsOf(pipelineOptionFacts);

/** The parts of a pipeline on its device. */
export interface LoadedPipeline {
  /** Path of the folder or file. */
  readonly path: string;
  readonly opened: OpenedDevice;
  /** What it was read from. */
  readonly source: PipelineSource;
  readonly defaults: PipelineDefaults;
  readonly evidence: string;
  /** U-Net and text encoders. */
  readonly networks: SwappedNetworks;
  readonly vae: Autoencoder;
  readonly schedule: NoiseSchedule;
  readonly gamma: GammaTable | null;
  readonly preview: Autoencoder | null;
  readonly keep: KeptParts;
}

/** Requires that the pictures that control are as large as the images. */
function requireFittingControls(vae: Autoencoder, { controlNets }: ConditionalUNet): void {
  const wrong = controlNets.findIndex(({ factor }) => factor !== vae.factor);
  if (wrong < 0) return;
  throw new DpmError(
    'ERR_DPM_CONFIG',
    `ControlNet ${wrong} takes pictures ${controlNets[wrong]?.factor} times the states' size, the autoencoder ${vae.factor} times`,
  );
}

function scheduleBy({ config, source }: SchedulerSource, prediction: string | null): NoiseSchedule {
  const fields = prediction === null ? config : { ...config, prediction_type: prediction };
  return NoiseSchedule.fromSchedulerConfig(fields, {}, source);
}

/** Side of the latents by which a prediction is decided. */
const TRIED_SIDE = 32;

async function decided(
  { unet, encoders }: PromptedNetworks,
  schedule: NoiseSchedule,
): Promise<{ schedule: NoiseSchedule; evidence: string }> {
  const side = Math.min(TRIED_SIDE, unet.sampleSize);
  const streams = sampleStreams(1, { seed: 0, record: INITIAL_RECORD, draw: 0 });
  const noise = await normals(unet.device, [unet.inChannels, side, side], streams);
  const { hidden } = at(await encoders.encode([{ text: '', chunks: null }], 0), 0);
  const { type, part } = await decidePrediction(noise, (x) =>
    unet.forward(x, schedule.networkTime(schedule.noisiest), { height: side, width: side, context: hidden }),
  );
  const evidence = `, prediction ${type} (an evaluation of noise gives ${part.toFixed(2)} of it back)`;
  if (type === 'epsilon') return { schedule, evidence };
  return { schedule: NoiseSchedule.fromSchedulerConfig(pipelinePresets['sd2-v'].scheduler), evidence };
}

/** Makes the schedule that is asked for; null: what the network shows has to decide. */
async function givenSchedule(
  pipeline: PipelineSource,
  { schedule, prediction }: Pick<TextToImageLoadOptions, 'schedule' | 'prediction'>,
): Promise<NoiseSchedule | null> {
  const type = prediction === undefined ? null : libraryNames[prediction];
  if (schedule instanceof NoiseSchedule) {
    if (type === null) return schedule;
    throw new DpmError('ERR_DPM_ARGUMENT', 'prediction is for a schedule of a file, the given one has its own');
  }
  if (schedule === undefined)
    return type === null && pipeline.isUndecided ? null : scheduleBy(await pipeline.scheduler(), type);
  const source = await requireSchedulerFile(schedule);
  return scheduleBy({ config: await readObject(source), source }, type);
}

/**
 * Reads a pipeline and makes its networks on a device, on which their weights come when they are first needed.
 *
 * @param options - Options that have been checked.
 * @throws {@link DpmError} naming the wrong file, tensor, field, option or device; `ERR_DPM_ABORTED` if aborted.
 */
export async function loadPipeline(path: string | URL, options: TextToImageLoadOptions): Promise<LoadedPipeline> {
  const { signal, schedule: asked, prediction, config, ema, unet, vae, textEncoder, tokenizer, ...rest } = options;
  const { preview: small, keep = standardKeep, loras = [], embeddings = [], controlNets, ...device } = rest;
  throwIfAborted(signal);
  // Lists are read later, when the caller may have changed them.
  const copied = { textEncoder: [textEncoder ?? []].flat(), tokenizer: [tokenizer ?? []].flat() };
  const givenControls = controlNets && [...controlNets];
  const added = checkedLoras(loras);
  const tokens = checkedEmbeddings(embeddings);
  const found = await modelPath(path);
  const source = await readPipelineSource(found, { config, ema, unet, vae, ...copied });
  const schedule = await givenSchedule(source, { schedule: asked, prediction });
  const gamma = await source.gamma();
  const unetWithControls = await withControls(await source.unet(), givenControls ?? source.controlNets);
  const networks = { unet: unetWithControls, vae: await source.autoencoder() };
  const read = small === undefined ? null : await readAutoencoderAt(await modelPath(small));
  const texts = await withEmbeddings(await PromptEncoders.read(source.encoders, signal), tokens);
  const base = { unet: networks.unet, encoders: texts.map((text) => text.read) };
  const stamps = await stampsOf(added);
  const withAdditions = await promptedWithLoras(base, added);
  throwIfAborted(signal);
  const opened = openedDevice(device, 'pipeline');
  const shared = { device: opened.device, isOwn: false };
  try {
    const swapped = new SwappedNetworks({ device: opened.device, base, stamps }, withAdditions, {
      unet: ConditionalUNet.on(shared, withAdditions.unet),
      encoders: PromptEncoders.on(opened.device, texts, source.defaults.kind === 'sdxl').replaced(
        withAdditions.encoders,
        opened.device,
      ),
    });
    const parts = { networks: swapped, vae: Autoencoder.on(shared, networks.vae) };
    requireFittingParts(source.names, { ...parts, ...swapped.current });
    requireFittingControls(parts.vae, swapped.current.unet);
    const preview = read === null ? null : Autoencoder.on(shared, read);
    if (preview !== null && preview.latentChannels !== parts.vae.latentChannels) {
      throw wrongValue('preview', small, `an autoencoder of ${parts.vae.latentChannels} latent channels`);
    }
    const { defaults, evidence } = source;
    const pipeline = { path: found, opened, source, defaults, gamma, ...parts, preview, keep };
    if (schedule !== null) return { ...pipeline, evidence, schedule };
    const shown = await decided(swapped.current, scheduleBy(await source.scheduler(), null));
    return { ...pipeline, schedule: shown.schedule, evidence: evidence + shown.evidence };
  } catch (error) {
    if (opened.isOwn) await opened.device.close();
    throw error;
  }
}

/** Closes the parts, and the device if it was opened for them. */
export async function closePipeline({
  networks,
  vae,
  preview,
  opened,
}: Pick<LoadedPipeline, 'networks' | 'vae' | 'preview' | 'opened'>): Promise<void> {
  await Promise.all([networks.close(), vae.close(), preview?.close()]);
  if (opened.isOwn) await opened.device.close();
}
