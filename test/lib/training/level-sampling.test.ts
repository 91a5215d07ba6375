// Runs whose noise levels are drawn by their losses.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { Trainer, type TrainerOptions } from '../../../lib/index.js';
import { packagePath, pathsIn, temporaryFolder } from '../../support/temporary.js';
import { tinyClassifier, tinyImages, tinyRun } from '../../support/training-data.js';
import { trained } from '../../support/training-runs.js';

const newFolder = pathsIn(temporaryFolder());

/** A schedule of so few levels that all have their losses after some steps. */
async function fewLevels(): Promise<string> {
  const path = `${newFolder()}.json`;
  const config = { _class_name: 'DDPMScheduler', num_train_timesteps: 4, beta_start: 0.01, beta_end: 0.4 };
  await writeFile(path, JSON.stringify(config));
  return path;
}

async function drawn(changed: Partial<TrainerOptions> = {}): Promise<Partial<TrainerOptions>> {
  return { schedule: await fewLevels(), batch: 12, steps: 8, levelSampling: 'loss-second-moment', ...changed };
}

describe('levels drawn by their losses', () => {
  it('are others once all levels have their losses', async () => {
    const changed = await drawn();
    expect(await trained({ ...changed, steps: 2 })).toEqual(
      await trained({ ...changed, steps: 2, levelSampling: 'uniform' }),
    );
    expect(await trained(changed)).not.toEqual(await trained({ ...changed, levelSampling: 'uniform' }));
  });

  it('have losses in checkpoints, so that a run that goes on is one that never stopped', async () => {
    const out = newFolder();
    const changed = await drawn({ out, rateSchedule: 'constant', averageSchedule: 'constant' });
    await using first = await Trainer.open(tinyRun({ ...changed, checkpointEvery: 100 }));
    for (let step = 0; step < 6; ++step) await first.step();
    await first.save();
    await first.close();
    expect(await readdir(join(out, 'checkpoints', 'step-6'))).toContain('level_losses.safetensors');
    await expect(Trainer.open(tinyRun({ ...changed, levelSampling: 'uniform' }))).rejects.toThrow(
      /^levelSampling is not given.*"loss-second-moment"/,
    );
    await using second = await Trainer.open(tinyRun(changed));
    expect(second.begun).toBe(6);
    await second.run();
    expect(await second.tensors('parameters')).toEqual(await trained({ ...changed, out: undefined }));
  });

  it('go on from no checkpoint whose losses are damaged or gone', async () => {
    const out = newFolder();
    const changed = await drawn({ out, steps: 3, checkpointEvery: 1 });
    await using first = await Trainer.open(tinyRun(changed));
    await first.run();
    await first.close();
    const newest = join(out, 'checkpoints', 'step-3');
    const losses = join(newest, 'level_losses.safetensors');
    const bytes = await readFile(losses);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(losses, bytes);
    await using second = await Trainer.open(tinyRun(changed));
    expect([second.begun, second.damaged.map(({ path }) => path)]).toEqual([
      2,
      [join(out, 'checkpoints', 'damaged-step-3')],
    ]);
    await second.close();
    const state = join(out, 'checkpoints', 'step-2', 'state.json');
    const { files, ...rest } = JSON.parse(await readFile(state, 'utf8')) as { files: Record<string, unknown> };
    const { 'level_losses.safetensors': _, ...others } = files;
    await writeFile(state, JSON.stringify({ ...rest, files: others }));
    await expect(Trainer.open(tinyRun(changed))).rejects.toThrow('no losses that levels are drawn by');
  });

  it('leave no trace in a run of even draws', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(tinyRun({ out, levelSampling: 'uniform' }));
    await trainer.step();
    await trainer.save();
    expect(JSON.parse(await readFile(join(out, 'run.json'), 'utf8'))).not.toHaveProperty('options.levelSampling');
    expect(await readdir(join(out, 'checkpoints', 'step-1'))).not.toContain('level_losses.safetensors');
  });

  it.each([
    [{ classifier: true, network: tinyClassifier }, 'levelSampling: levels of a classifier are drawn evenly'],
    [
      { head: 'npr', network: packagePath('models/mnist'), data: tinyImages(4, [1, 28, 28]), labels: false },
      'levelSampling: levels of a head are drawn evenly',
    ],
    [
      {
        network: packagePath('test/fixtures/unet/score-sde-ddpmpp/config.json'),
        data: tinyImages(4, [3, 16, 16]),
        labels: false,
      },
      'levelSampling: levels of a continuous noise schedule are drawn evenly',
    ],
    [{ levelSampling: 'largest' as never }, 'levelSampling'],
  ] as [Partial<TrainerOptions>, string][])('are refused: %#', async (changed, message) => {
    await expect(Trainer.open(tinyRun({ levelSampling: 'loss-second-moment', ...changed }))).rejects.toThrow(message);
  });
});
