// The state of a checkpoint of training, beside files that are those it was written with, and the settings of a run.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { readCheckpointFiles } from '../../../lib/training/run-folder/checkpoint-files.js';
import { readSettings } from '../../../lib/training/run-folder/run-options.js';
import { fileOf, takenOrRefused } from '../refused.js';

const files = ['parameters', 'first_moments', 'second_moments', 'average'];
const header = Buffer.from('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}');
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(header.length));

export async function fuzz(data: Buffer): Promise<void> {
  const folder = join(dirname(fileOf(data, 'run.json')), 'step-1');
  mkdirSync(folder, { recursive: true });
  for (const file of files)
    writeFileSync(join(folder, `${file}.safetensors`), Buffer.concat([length, header, Buffer.alloc(4)]));
  writeFileSync(join(folder, 'state.json'), data);
  await takenOrRefused(async () => {
    const { step, part } = await readCheckpointFiles(folder);
    if (!Number.isSafeInteger(step) || step < 0) throw new Error(`step ${step}`);
    if ((await part('average').get('a')?.data())?.[0] !== 0) throw new Error('another average');
  });
  await takenOrRefused(() => readSettings(dirname(folder)));
}
