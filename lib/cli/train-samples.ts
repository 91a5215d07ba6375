import type { ImageBatch } from '../images/image-batch.js';
import { DEFAULT_STEPS } from '../samplers/common-options.js';
import type { Trainer } from '../training/trainer.js';

/** Weight of classifier-free guidance of samples of captions. */
const CAPTION_GUIDANCE = 4;

/** Draws what captions of the data say, by the average of a pipeline's weights. */
async function drawCaptions(trainer: Trainer, count: number, signal: AbortSignal): Promise<ImageBatch | null> {
  await using pipeline = await trainer.pipeline();
  const all = trainer.captionExamples;
  const prompts = Array.from({ length: count }, (_, i) => all[i % all.length] ?? '');
  const { images } = await pipeline.generate({
    prompt: prompts,
    ...(trainer.head !== null && { sampler: `${trainer.head}-ddpm` }),
    steps: Math.min(DEFAULT_STEPS, pipeline.schedule.steps),
    // The variance of SN-DPM is that of the prediction alone, without a negative one.
    guidance: trainer.head === 'sn' ? 1 : CAPTION_GUIDANCE,
    seed: 0,
    signal,
  });
  return images;
}

/**
 * Draws samples of the average of a run's weights by DDIM, or by the sampler of the head that learns, with classes in turn.
 * Every draw has the same noise, so that pictures of one run can be compared. Of an autoencoder, images of the data, each beside
 * what comes back of it.
 *
 * @returns Null for images of other than 1 or 3 channels, which have no picture.
 */
export async function drawSamples(trainer: Trainer, count: number, signal: AbortSignal): Promise<ImageBatch | null> {
  if (trainer.isTextToImage) return drawCaptions(trainer, count, signal);
  const [channels] = trainer.sampleShape;
  if (channels !== 1 && channels !== 3) return null;
  if (trainer.isAutoencoder) {
    const pairs = await trainer.reconstructions(count);
    return pairs.grid({ columns: 2 * Math.ceil(Math.sqrt(count / 2)) });
  }
  await using model = await trainer.model();
  const classLabels =
    trainer.classes === 0 ? undefined : Array.from({ length: count }, (_, sample) => sample % trainer.classes);
  const { images } = await model.sample({
    sampler: trainer.head === null ? 'ddim' : `${trainer.head}-ddpm`,
    steps: Math.min(DEFAULT_STEPS, model.schedule.steps),
    count,
    seed: 0,
    classLabels,
    format: 'uint8',
    signal,
  });
  return images;
}
