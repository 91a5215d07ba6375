// Functions that read and write files in a folder.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as dpm from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';
import type { PublicCall } from '../attack.js';
import { of } from './of.js';

export async function fileCalls(folder: string): Promise<PublicCall[]> {
  const path = (name: string): string => join(folder, name);
  writeFileSync(
    path('gamma.json'),
    JSON.stringify({ schedule: 'linear', num_train_timesteps: 2, images_per_step: 1, m: [0, 1, 1] }),
  );
  const clip = await dpm.ClipTokenizer.clip();
  const images = new dpm.ImageBatch(new Float32Array(8), [2, 1, 2, 2]);
  const tensor = { shape: [2], data: new Float32Array(2) };
  return [
    of('ClipTokenizer.load', (place: never) => dpm.ClipTokenizer.load(place), [
      packagePath('test/fixtures/text/sd1/tokenizer'),
    ]),
    of('ClipTokenizer.clip', () => dpm.ClipTokenizer.clip(), []),
    of('ClipTokenizer.tokenize', (text: never) => clip.tokenize(text), ['a photo of a cat']),
    of('writeSafetensors', dpm.writeSafetensors, [path('a.safetensors'), { a: tensor }, { note: 'text' }], {
      1: ['b'],
    }),
    of('writeSafetensors: a tensor', (a: never) => dpm.writeSafetensors(path('b.safetensors'), { a }), [{ ...tensor }]),
    of('readSafetensorsHeader', dpm.readSafetensorsHeader, [path('a.safetensors')]),
    of(
      'readFloats',
      async (name: never, accepted: never) => dpm.readFloats(await written(path('c.safetensors')), name, accepted),
      ['a', ['F32']],
    ),
    of('readFloats: a header', (header: never) => dpm.readFloats(header, 'a'), [
      { ...(await written(path('d.safetensors'))) },
    ]),
    of('readGammaTable', dpm.readGammaTable, [path('gamma.json')]),
    of('writeGammaTable', dpm.writeGammaTable, [
      path('g.json'),
      { schedule: 'linear', numTrainTimesteps: 2, imagesPerStep: 1, m: new Float64Array(3).fill(1) },
    ]),
    of('writeErrorTable', dpm.writeErrorTable, [
      path('e.json'),
      {
        schedule: 'linear',
        numTrainTimesteps: 2,
        imagesPerStep: 1,
        squaredError: new Float64Array(3).fill(1),
        decoder: new Float64Array(3).fill(1),
      },
    ]),
    of('readErrorTable', dpm.readErrorTable, [path('e.json')]),
    of('ImageBatch.save', (target: never, options: never) => images.save(target, options), [path('images.png'), {}]),
    of('ImageBatch.load', (given: never, like: never) => dpm.ImageBatch.load(given, like), [path('images.png'), {}]),
  ];
}

async function written(path: string): Promise<dpm.SafetensorsHeader> {
  await dpm.writeSafetensors(path, { a: { shape: [2], data: new Float32Array(2) } });
  return dpm.readSafetensorsHeader(path);
}
