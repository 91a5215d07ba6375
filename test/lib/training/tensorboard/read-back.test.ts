// Events as TensorBoard's own reader gives them back.
import { existsSync, mkdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it, type TestContext } from 'vitest';

import { ImageBatch, Trainer } from '../../../../lib/index.js';
import type { StepMetrics } from '../../../../lib/training/metrics.js';
import { EventFile } from '../../../../lib/training/tensorboard/event-file.js';
import { askPython } from '../../../support/python.js';
import { eventFiles, shownEvents } from '../../../support/read-events.js';
import { packagePath, temporaryFolder } from '../../../support/temporary.js';
import { tinyRun } from '../../../support/training-data.js';

interface Shown {
  scalars: Record<string, [time: number, step: number, value: number][]>;
  images: Record<string, [time: number, step: number, height: number, width: number, png: string][]>;
}

const folder = temporaryFolder();

/** What TensorBoard shows of a folder. */
function shownBy(context: TestContext, path: string): Shown {
  if (!existsSync(packagePath('.toolchain/tensorboard')))
    context.skip('skipped: there is no TensorBoard, which scripts/setup --dev brings');
  return askPython('tensorboard', 'test/fixtures/tensorboard/read.py', { words: [path] }) as Shown;
}

/** The same by the tests' own reader. */
function shownHere(path: string): Shown {
  const shown: Shown = { scalars: {}, images: {} };
  for (const { time, step, values } of shownEvents(path)) {
    for (const [tag, value] of Object.entries(values)) {
      if (typeof value === 'number') (shown.scalars[tag] ??= []).push([time, step, value]);
      else {
        const { height, width, png } = value;
        (shown.images[tag] ??= []).push([time, step, height, width, Buffer.from(png).toString('base64')]);
      }
    }
  }
  return shown;
}

function metrics(step: number, loss: number): StepMetrics {
  return { step, loss, gradientNorm: 2, rate: 3, averageDecay: 4, imagesPerSecond: 5, seconds: 6 };
}

it('TensorBoard shows every step and image of a run that was stopped', async (context) => {
  const out = join(folder, 'stopped');
  const images = new ImageBatch(
    Uint8Array.from({ length: 48 }, (_, i) => i),
    [2, 3, 4, 2],
  );
  const options = tinyRun({
    out,
    tensorboard: true,
    onCheckpoint: () => (trainer === null ? undefined : trainer.addImages('samples', images)),
  });
  let trainer: Trainer | null = null;
  for (const steps of [5, 3]) {
    trainer = await Trainer.open(options);
    for (let i = 0; i < steps; ++i) await trainer.step();
    await trainer.close();
  }
  const shown = shownBy(context, out);
  expect(shown.scalars['train/loss']!.map(([, step]) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(shown.images.samples!.map(([, step]) => step)).toEqual([3, 6]);
  expect(shown).toEqual(shownHere(out));
});

it('TensorBoard drops what was lost, and reads up to a record that was cut off', async (context) => {
  const out = join(folder, 'lost');
  mkdirSync(out);
  const picture = { png: Buffer.from('a picture'), height: 2, width: 3, channels: 1 };
  for (const [begun, last, loss] of [[0, 5, 1] as const, [3, 6, 2] as const]) {
    await using file = new EventFile(out, begun);
    for (let step = begun + 1; step <= last; ++step) {
      await file.addStep(metrics(step, loss));
      await file.addPicture(step, 'samples', picture);
    }
    const path = eventFiles(out).at(-1)!;
    truncateSync(path, statSync(path).size - 7);
  }
  const shown = shownBy(context, out);
  expect(shown.scalars['train/loss']!.map(([, step, loss]) => [step, loss])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [6, 2],
  ]);
  expect(shown.images.samples!.map(([, step]) => step)).toEqual([1, 2, 3, 4, 5]);
  expect(shown).toEqual(shownHere(out));
});
