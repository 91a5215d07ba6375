// Classifiers of noisy images that learn: what their steps measure, what their run writes, and what is refused.
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readJson } from '../../../lib/files/files.js';
import { Classifier, DiffusionModel, Trainer, type TrainerOptions } from '../../../lib/index.js';
import { packagePath, pathsIn, temporaryFolder } from '../../support/temporary.js';
import { tinyClassifier, tinyImages, tinyNetwork, tinyRun } from '../../support/training-data.js';

const newFolder = pathsIn(temporaryFolder());

const classifierRun = (changed: Partial<TrainerOptions> = {}): TrainerOptions =>
  tinyRun({ network: tinyClassifier, ...changed });

async function lossesOf(changed: Partial<TrainerOptions>): Promise<{ losses: number[]; accuracies: unknown[] }> {
  await using trainer = await Trainer.open(classifierRun(changed));
  const [losses, accuracies]: [number[], unknown[]] = [[], []];
  for await (const { loss, accuracy } of trainer) {
    losses.push(loss);
    accuracies.push(accuracy);
  }
  return { losses, accuracies };
}

describe('a classifier that learns', () => {
  it.each(['attention', 'adaptive'])('has the losses of the reference with the pool %s', async (pool) => {
    const network = { ...tinyClassifier, pool };
    const own = await lossesOf({ network, steps: 4 });
    const expected = await lossesOf({ network, steps: 4, device: 'reference', threads: undefined });
    // The authors begin with zeros behind the mean of pixels: every class is as probable.
    if (pool === 'adaptive') expect(own.losses[0]).toBeCloseTo(Math.log(5), 5);
    else expect(own.losses[0]).not.toBeCloseTo(Math.log(5), 3);
    own.losses.forEach((loss, step) => {
      expect(loss).toBeCloseTo(expected.losses[step]!, 4);
    });
    expect(own.accuracies.every((accuracy) => [0, 0.5, 1].includes(accuracy as number))).toBe(true);
  });

  it('knows its few images after a while', async () => {
    const data = { ...tinyImages(4), labels: Int32Array.of(0, 1, 2, 3) };
    // Levels of little noise, where random images are far apart.
    const { losses, accuracies } = await lossesOf({ data, steps: 120, batch: 4, rate: 3e-3 });
    const last = <T>(values: readonly T[]): T[] => values.slice(-20);
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(last(losses))).toBeLessThan(0.75 * Math.log(5));
    expect(mean(last(accuracies as number[]))).toBeGreaterThan(0.45);
  });

  it('writes a folder that is loaded as one, and goes on as if it had never stopped', async () => {
    const [whole, parts] = [newFolder(), newFolder()];
    await using first = await Trainer.open(classifierRun({ out: whole, steps: 4, averageDecay: 0.5 }));
    await first.run();
    for (const wanted of [2, 4]) {
      await using trainer = await Trainer.open(classifierRun({ out: parts, steps: 4, averageDecay: 0.5 }));
      while (trainer.done < wanted) await trainer.step();
      await trainer.save();
    }
    expect(first.isClassifier).toBe(true);
    expect(first.classes).toBe(5);
    expect(await readJson(join(whole, 'config.json'))).toEqual(tinyClassifier);
    await expect(DiffusionModel.load(whole, { device: 'cpu' })).rejects.toThrow('is a classifier');
    await expect(first.model()).rejects.toThrow('a classifier learns, which is no model');
    const x = Float32Array.from({ length: 2 * 3 * 8 * 8 }, (_, i) => Math.sin(i));
    await using own = await first.classifier();
    const logits = await own.logits(x, [0, 500]);
    expect(logits.some((value) => value !== 0)).toBe(true);
    await using other = await Classifier.load(parts, { device: 'cpu', threads: 1 });
    expect(await other.logits(x, [0, 500])).toEqual(logits);
  });

  it('is no run of a network, nor the other way round', async () => {
    const [own, other] = [newFolder(), newFolder()];
    const bare = { network: undefined, data: tinyImages(10, [1, 20, 20]) };
    const begin = async (options: Partial<TrainerOptions>): Promise<void> => {
      await using trainer = await Trainer.open(tinyRun({ ...bare, ...options, steps: 2, checkpointEvery: 1 }));
      await trainer.step();
    };
    await begin({ classifier: true, out: own });
    await expect(begin({ out: own })).rejects.toThrow('classifier is ');
    await begin({ out: other });
    await expect(begin({ classifier: true, out: other })).rejects.toThrow('classifier is true');
  });

  it('begins for images alone, with their classes', async () => {
    const data = tinyImages(10, [1, 20, 20]);
    await using trainer = await Trainer.open(tinyRun({ data, network: undefined, classifier: true, steps: 1 }));
    expect(trainer.classes).toBe(5);
    expect(trainer.isClassifier).toBe(true);
    expect((await trainer.step()).loss).toBeLessThan(2 * Math.log(5));
  });

  it('goes on from a classifier', async () => {
    const network = packagePath('models/mnist-classifier');
    const data = tinyImages(4, [1, 28, 28]);
    await using trainer = await Trainer.open(tinyRun({ network, data, steps: 1, labelDropout: 0 }));
    expect(trainer.classes).toBe(10);
    expect((await trainer.step()).loss).not.toBeCloseTo(Math.log(10), 2);
  });
});

describe('a network that is none', () => {
  it('has no accuracy and no classifier', async () => {
    await using trainer = await Trainer.open(tinyRun({ steps: 1 }));
    expect(trainer.isClassifier).toBe(false);
    expect(await trainer.step()).not.toHaveProperty('accuracy');
    await expect(trainer.classifier()).rejects.toThrow('what learns is no classifier');
  });
});

describe('what a classifier has no use for', () => {
  it.each<[Partial<TrainerOptions>, string]>([
    [{ network: tinyNetwork, classifier: true }, 'classifier: '],
    [{ labelDropout: 0.1 }, 'labelDropout: the classifier the network has no use for it'],
    [{ snrGamma: 5 }, 'snrGamma: the classifier'],
    [{ prediction: 'epsilon' }, 'prediction: the classifier'],
    [{ headMode: 'simple' }, 'headMode: the classifier'],
    [{ labels: false, network: undefined, classifier: true }, 'classifier: the data have no labels to learn'],
    [{ data: { ...tinyImages(), labels: null } }, 'has 5 classes, the data have no labels'],
    [{ data: { ...tinyImages(), labels: new Int32Array(12).fill(5) } }, 'the data have the label 5'],
    [{ network: undefined, classifier: true, data: tinyImages(4, [3, 8, 12]) }, '8 x 12'],
    [{ classifier: 1 as never }, 'classifier'],
  ])('%#', async (changed, message) => {
    await expect(Trainer.open(classifierRun(changed))).rejects.toThrow(message);
  });
});
