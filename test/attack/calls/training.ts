// Calls that train, on a network of a few pixels.
import * as dpm from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';
import { tinyPipeline, tinyRun } from '../../support/training-data.js';
import type { PublicCall } from '../attack.js';
import { of } from './of.js';

/**
 * @param trainer - One with a folder, events and enough steps left.
 * @param data - Path of images.
 */
export function trainingCalls(
  { trainer, autoencoder, pipeline }: Record<'trainer' | 'autoencoder' | 'pipeline', dpm.Trainer>,
  { data, latents, device }: { data: string; latents: string; device: dpm.Device },
): PublicCall[] {
  const { threads: _, ...options } = tinyRun({ device, tensorboard: false });
  const captions = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? 'a cat' : ['a dog', 'dogs']));
  const ofCaptions = { ...options, captions, latents, captionDropout: 0.5, network: tinyPipeline };
  return [
    of('Trainer.open: captions', async (given: never) => (await dpm.Trainer.open(given)).close(), [ofCaptions]),
    of('Trainer.pipeline', async () => (await pipeline.pipeline()).close(), []),
    of('Trainer.autoencoder', async () => (await autoencoder.autoencoder()).close(), []),
    of('Trainer.reconstructions', (count: never) => autoencoder.reconstructions(count), [2]),
    of('Trainer.open', async (given: never) => (await dpm.Trainer.open(given)).close(), [options]),
    of('openImages', (path: never, given: never) => dpm.openImages(path, given), [data, { shape: [3, 8, 8] }]),
    of('openImages: Parquet', (path: never, given: never) => dpm.openImages(path, given), [
      packagePath('test/fixtures/parquet/snappy.parquet'),
      { shape: [3, 2, 3], skipBroken: true },
    ]),
    of('Trainer.step', () => trainer.step(), []),
    of('Trainer.tensors', (which: never) => trainer.tensors(which), ['average']),
    of('Trainer.addImages', (tag: never, images: never) => trainer.addImages(tag, images), [
      'samples',
      new dpm.ImageBatch(new Uint8Array(12), [1, 3, 2, 2]),
    ]),
    of('Trainer.save', () => trainer.save(), []),
    of('Trainer.model', async () => (await trainer.model()).close(), []),
    of('Trainer.classifier', async () => (await trainer.classifier().catch(() => trainer.model())).close(), []),
    of('Trainer.run', () => trainer.run(), []),
  ];
}
