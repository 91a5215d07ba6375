// Runs whose networks drop out.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { DiffusionModel, Trainer, type TrainerOptions } from '../../../lib/index.js';
import { readTrainable } from '../../../lib/checkpoint/trainable.js';
import { withDropout } from '../../../lib/training/dropout.js';
import { packagePath, pathsIn, temporaryFolder } from '../../support/temporary.js';
import { tinyClassifier, tinyImages, tinyNetwork, tinyRun } from '../../support/training-data.js';
import { trained } from '../../support/training-runs.js';

const newFolder = pathsIn(temporaryFolder());

async function configured(dropout: unknown): Promise<Record<string, unknown>> {
  return { ...(JSON.parse(await readFile(tinyNetwork, 'utf8')) as Record<string, unknown>), dropout };
}

describe('dropout', () => {
  it('is that of the configuration, or the one that is given', async () => {
    const none = await trained();
    const given = await trained({ dropout: 0.3 });
    expect(given).not.toEqual(none);
    expect(await trained({ network: await configured(0.3) })).toEqual(given);
    expect(await trained({ network: await configured(0.3), dropout: 0 })).toEqual(none);
    expect(await trained({ network: await configured(0.3), dropout: 0.1 })).not.toEqual(given);
  });

  it('is in every residual block, before its second convolution', async () => {
    const trainable = await readTrainable(tinyNetwork, {});
    const { graph } = withDropout(trainable, 0.3).trainable;
    const blocks = trainable.alone.nodes.filter(({ op, name }) => op === 'convolution' && name.endsWith('.conv2'));
    const dropouts = graph.nodes.filter(({ op }) => op === 'dropout');
    expect(dropouts).toHaveLength(blocks.length);
    for (const { outputs } of dropouts) {
      const [reader, ...others] = graph.nodes.filter(({ inputs }) => inputs.includes(outputs[0]!));
      expect([reader!.op, others]).toEqual(['convolution', []]);
      expect(reader!.name).toMatch(/\.conv2$/);
    }
    expect(graph.constants).toEqual(trainable.alone.constants);
  });

  it('is the same for any number of threads, and whatever is computed again', async () => {
    const one = await trained({ dropout: 0.3, batch: 4 });
    expect(await trained({ dropout: 0.3, batch: 4, threads: 3 })).toEqual(one);
    const [norms, none] = await Promise.all(
      (['norms', 'none'] as const).map(async (recompute) => {
        await using trainer = await Trainer.open(tinyRun({ dropout: 0.3, recompute }));
        return (await trainer.step()).loss;
      }),
    );
    expect(norms).toBe(none);
  });

  it('goes on to the bit, with the rate that the run was begun with', async () => {
    const out = newFolder();
    await using first = await Trainer.open(tinyRun({ out, dropout: 0.3 }));
    await first.step();
    await first.save();
    await first.close();
    await expect(Trainer.open(tinyRun({ out }))).rejects.toThrow(/^dropout is not given.*begun with 0\.3/);
    await using second = await Trainer.open(tinyRun({ out, dropout: 0.3 }));
    await second.run();
    expect(await second.tensors('parameters')).toEqual(await trained({ dropout: 0.3 }));
    await using model = await DiffusionModel.load(out, { device: second.device });
    const draw = async () => (await model.sample({ sampler: 'ddim', steps: 2, seed: 1, classLabels: 1 })).images.data;
    expect(await draw()).toEqual(await draw());
  });

  it('has no part in a run without one', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(tinyRun({ out, dropout: 0 }));
    expect(trainer.done).toBe(0);
    expect(JSON.parse(await readFile(join(out, 'run.json'), 'utf8'))).not.toHaveProperty('options.dropout');
  });

  it('is in classifiers, too', async () => {
    const classifier = { classifier: true, network: tinyClassifier };
    expect(await trained({ ...classifier, dropout: 0.5 })).not.toEqual(await trained(classifier));
  });

  it('leaves a network as it is whose head learns', async () => {
    const head: Partial<TrainerOptions> = {
      head: 'npr',
      network: packagePath('models/mnist'),
      data: tinyImages(4, [1, 28, 28]),
      labels: false,
    };
    await expect(Trainer.open(tinyRun({ ...head, dropout: 0.1 }))).rejects.toThrow(
      'dropout: the network stays as it is while a head learns',
    );
  });

  it.each([
    [{ dropout: 1 }, 'ERR_DPM_ARGUMENT'],
    [{ dropout: -0.1 }, 'ERR_DPM_ARGUMENT'],
    [{ dropout: NaN }, 'ERR_DPM_ARGUMENT'],
  ])('is refused as %o', async (changed, code) => {
    await expect(Trainer.open(tinyRun(changed))).rejects.toMatchObject({
      code,
      message: expect.stringContaining('dropout') as unknown,
    });
  });

  it.each([1, -0.5, '0.1', [0.1]])('is refused in a configuration as %o', async (dropout) => {
    await expect(Trainer.open(tinyRun({ network: await configured(dropout) }))).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringContaining('dropout is') as unknown,
    });
  });
});
