import { memoryThereIs } from '../base/memory-budget.js';
import type { KeptParts, LoadedPipeline } from './load-pipeline.js';
import { rowsOfPrompt } from './prompted-samples.js';

/** Size of a call whose memory is computed. */
export interface PipelineSize {
  /** Height and width of the images in pixels. */
  readonly height: number;
  readonly width: number;
  /** Number of images at once. */
  readonly count: number;
}

/** Bytes that a call takes on its device, by the parts that are at work one after the other. */
export interface PipelineMemory {
  /** Text encoders, and the U-Net's graph of the prompt. */
  readonly texts: number;
  readonly unet: number;
  readonly decoder: number;
  /** Number of states that the U-Net evaluates at once. */
  readonly rows: number;
  /** Side of the decoder's tiles in latents; null: the whole. */
  readonly tile: number | null;
  /** Most at any time, by the parts that are kept. */
  readonly peak: Readonly<Record<KeptParts, number>>;
  /** Memory of this machine, and whether each of these fits into it. */
  readonly machine: number;
  readonly fits: Readonly<Record<KeptParts, boolean>>;
}

/**
 * Computes what a call with the pipeline's own guidance and all its ControlNets takes in memory, one part after the other: nothing is evaluated, and
 * no part is in memory beside another. The device's own working memory of evaluations is not in it.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming a side that the autoencoder cannot have; `ERR_DPM_OUT_OF_MEMORY` where
 * the U-Net's weights alone do not fit.
 */
export async function pipelineMemory(
  pipeline: Pick<LoadedPipeline, 'defaults' | 'networks' | 'vae'>,
  { height, width, count }: PipelineSize,
): Promise<PipelineMemory> {
  const { defaults, networks, vae } = pipeline;
  const { unet, encoders } = networks.current;
  const rows = rowsOfPrompt(unet, defaults.guidance);
  // Deciding a prediction has loaded some.
  await Promise.all([unet.release(), encoders.release()]);
  const tile = await vae.tileFor({ height, width });
  const decoder = await vae.bytesFor({ height, width, tile: tile ?? undefined, batch: count });
  await vae.release();
  const negative = rows === 2 && !defaults.zerosForNone;
  const encoded = await encoders.bytesFor(negative ? 2 : 1);
  await encoders.release();
  const texts = encoded + (await unet.promptBytesFor(encoders.tokens));
  await unet.release();
  const [down, right] = [height / vae.factor, width / vae.factor];
  const states = count * rows;
  const sides = { height: down, width: right };
  // All images have one prompt, and one negative prompt where they are guided.
  const controlScales = unet.controlNets.map(() => 1);
  const size = { ...sides, tokens: encoders.tokens, batch: states, contexts: rows, controlScales };
  const network = await unet.bytesFor(size);
  await unet.release();
  const peak = {
    all: texts + network + decoder,
    // Those of later calls, whose U-Net is there while texts are encoded.
    unet: network + Math.max(texts, decoder),
    none: Math.max(texts, network, decoder),
  };
  const machine = memoryThereIs();
  const fits = { all: peak.all <= machine, unet: peak.unet <= machine, none: peak.none <= machine };
  return { texts, unet: network, decoder, rows: states, tile, peak, machine, fits };
}
