import type { DataEstimateOptions } from '../estimation/data-estimate.js';
import { estimateGamma } from '../estimation/gamma-estimate.js';
import { estimateLatentGamma } from '../estimation/latent-gamma.js';
import { ImageBatch } from '../images/image-batch.js';
import { TextToImage } from '../text-to-image.js';
import { textsOfImages } from '../training/captions/given-captions.js';
import { openImages } from '../training/data/open-images.js';
import { writeGammaTable, type GammaTable } from '../variance/gamma.js';
import type { Call } from './command.js';
import { estimateCommand, ofModel } from './estimate-command.js';
import { deviceSettings } from './model-options.js';
import { refuseOptionsOfPixels } from './pipeline-options.js';

/** Estimates the table of a text-to-image pipeline, whose images have captions. */
async function ofPipeline(
  call: Call,
  captions: string,
  { samples, seed, timesteps, batch, onProgress }: DataEstimateOptions,
): Promise<GammaTable> {
  refuseOptionsOfPixels(call);
  const { options: given, positionals, signal } = call;
  const data = given.required('data');
  const { images, shape } = await openImages(data, { labels: false, signal });
  const texts = await textsOfImages(captions, data, shape[0]);
  await using pipeline = await TextToImage.load(positionals[0] ?? '', {
    ...deviceSettings(given),
    config: given.string('config'),
    schedule: given.string('schedule'),
    signal,
  });
  return await estimateLatentGamma(pipeline, new ImageBatch(images, shape), {
    prompt: texts.map(([first]) => first ?? ''),
    samples,
    seed,
    timesteps,
    batch,
    signal,
    onProgress,
  });
}

const estimate = ofModel(estimateGamma);

export const gammaCommand = estimateCommand({
  name: 'gamma',
  summary:
    'Estimates the table m_n = E||eps||^2 / d of the analytic samplers from images, or of a pipeline from captions, too.',
  images: 'uint8 or float32 in [-1, 1]',
  enough: '10 to 100 are enough',
  columns: 'm_n',
  options: {
    captions: {
      value: 'FILE',
      help: 'texts of the images, as dpm train takes them, for a text-to-image pipeline: the table is that of latents, by the first text of each',
    },
  },
  estimate(call, options) {
    const captions = call.options.string('captions');
    return captions === undefined ? estimate(call, options) : ofPipeline(call, captions, options);
  },
  write: writeGammaTable,
});
