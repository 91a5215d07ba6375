// The events of a trainer's run, as TensorBoard shows them: every step once, whatever stopped it.
import { stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { ImageBatch, Trainer, type TrainerOptions } from '../../../../lib/index.js';
import { EventFile } from '../../../../lib/training/tensorboard/event-file.js';
import { failure } from '../../../support/failure.js';
import { eventFiles, eventsIn, shownEvents, type ReadEvent } from '../../../support/read-events.js';
import { temporaryFolder } from '../../../support/temporary.js';
import { tinyRun } from '../../../support/training-data.js';
import { linesOf } from '../../../support/training-runs.js';

const folder = temporaryFolder();
let folders = 0;
const newFolder = (): string => join(folder, `run-${folders++}`);
const opened = (out: string, changed: Partial<TrainerOptions> = {}): Promise<Trainer> =>
  Trainer.open(tinyRun({ out, tensorboard: true, ...changed }));

/** Takes steps and ends without a checkpoint of its own. */
async function stepped(out: string, count: number, changed: Partial<TrainerOptions> = {}): Promise<void> {
  await using trainer = await opened(out, changed);
  for (let i = 0; i < count; ++i) await trainer.step();
}

async function finished(out: string, changed: Partial<TrainerOptions> = {}): Promise<void> {
  await using trainer = await opened(out, changed);
  await trainer.run();
}

/** What the metrics of a run are as events, whose numbers are float32. */
async function expectedOf(out: string): Promise<Pick<ReadEvent, 'step' | 'values'>[]> {
  return (await linesOf(out)).map(({ step, loss, gradientNorm, rate, averageDecay, imagesPerSecond }) => ({
    step,
    values: {
      'train/loss': Math.fround(loss),
      'train/gradient_norm': Math.fround(gradientNorm),
      'train/rate': Math.fround(rate),
      'train/average_decay': Math.fround(averageDecay),
      'train/images_per_second': Math.fround(imagesPerSecond),
    },
  }));
}

const withoutTimes = (events: readonly ReadEvent[]): unknown[] => events.map(({ step, values }) => ({ step, values }));
const pngOf = (images: ImageBatch): Uint8Array => Uint8Array.from(images.toPng());
const startsOf = (out: string): number[][] =>
  eventFiles(out).map((path) => eventsIn(path).flatMap(({ session, step }) => (session === 1 ? [step] : [])));

describe('events of a run', () => {
  it('are the metrics of all steps, at their times', async () => {
    const out = newFolder();
    const before = Date.now() / 1000;
    await finished(out);
    const events = shownEvents(out);
    expect(events).toHaveLength(6);
    expect(withoutTimes(events)).toEqual(await expectedOf(out));
    for (const { time } of events) {
      expect(time).toBeGreaterThanOrEqual(before);
      expect(time).toBeLessThanOrEqual(Date.now() / 1000);
    }
  });

  it('are there only where they are wanted', async () => {
    const out = newFolder();
    await finished(out, { tensorboard: undefined, steps: 1 });
    const other = newFolder();
    await finished(other, { tensorboard: false, steps: 1 });
    expect([...eventFiles(out), ...eventFiles(other)]).toEqual([]);
  });

  it('are those of one run where steps behind a checkpoint were lost', async () => {
    const out = newFolder();
    await stepped(out, 5);
    expect(shownEvents(out).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
    await finished(out);
    expect(startsOf(out)).toEqual([[1], [4]]);
    expect(withoutTimes(shownEvents(out))).toEqual(await expectedOf(out));
  });

  it('begin anew with a run that had no checkpoint', async () => {
    const out = newFolder();
    await stepped(out, 2);
    await finished(out);
    expect(startsOf(out)).toEqual([[1], [1]]);
    expect(withoutTimes(shownEvents(out))).toEqual(await expectedOf(out));
  });

  it('go on where a process was killed within one', async () => {
    const out = newFolder();
    await stepped(out, 4);
    const [path] = eventFiles(out);
    await truncate(path!, (await stat(path!)).size - 5);
    expect(shownEvents(out).map(({ step }) => step)).toEqual([1, 2, 3]);
    await finished(out);
    expect(withoutTimes(shownEvents(out))).toEqual(await expectedOf(out));
  });

  it('may begin and end while a run lasts', async () => {
    const out = newFolder();
    await stepped(out, 3, { tensorboard: false });
    await stepped(out, 3);
    await finished(out, { tensorboard: false, steps: 6 });
    expect(withoutTimes(shownEvents(out))).toEqual((await expectedOf(out)).slice(3));
    expect(startsOf(out)).toEqual([[4]]);
    // A run that has nothing left to say makes no file.
    await finished(out);
    expect(eventFiles(out)).toHaveLength(1);
  });

  it('need a folder', async () => {
    const error = await failure(Trainer.open(tinyRun({ tensorboard: true })));
    expect(error).toMatchObject({ code: 'ERR_DPM_ARGUMENT', message: expect.stringContaining('needs out') as string });
    await using trainer = await Trainer.open(tinyRun({ tensorboard: false }));
    await trainer.step();
  });

  it('are safe with each checkpoint, and let go of at the end', async () => {
    const [sync, close] = [vi.spyOn(EventFile.prototype, 'sync'), vi.spyOn(EventFile.prototype, 'close')];
    onTestFinished(() => {
      sync.mockRestore();
      close.mockRestore();
    });
    await stepped(newFolder(), 2);
    expect([sync.mock.calls.length, close.mock.calls.length]).toEqual([0, 1]);
    await stepped(newFolder(), 3);
    expect([sync.mock.calls.length, close.mock.calls.length]).toEqual([1, 2]);
  });

  it('end a run where they cannot be written, with the file', async () => {
    const out = newFolder();
    await using trainer = await opened(out);
    await trainer.step();
    const add = vi.spyOn(EventFile.prototype, 'addStep').mockRejectedValueOnce(new Error('full'));
    onTestFinished(() => {
      add.mockRestore();
    });
    expect((await failure(trainer.step())).message).toContain('full; there is no checkpoint yet');
    expect((await failure(trainer.step())).message).toContain('full');
  });
});

describe('images of a run', () => {
  const rgb = new ImageBatch(
    Uint8Array.from({ length: 5 * 48 }, (_, i) => i),
    [5, 3, 4, 4],
    [-1, 1],
  );

  it('are a grid at the step that is done', async () => {
    const out = newFolder();
    await using trainer = await opened(out);
    await trainer.step();
    await trainer.addImages('some images', rgb);
    await trainer.step();
    const grey = new ImageBatch(Uint8Array.of(1, 2, 3, 4, 5, 6), [1, 1, 2, 3]);
    await trainer.addImages('grey', grey);
    const found = shownEvents(out).filter(({ values }) => !('train/loss' in values));
    const [, , height, width] = rgb.grid().shape;
    expect(width).not.toBe(height);
    expect(withoutTimes(found)).toEqual([
      { step: 1, values: { 'some images': { height, width, colorspace: 3, png: pngOf(rgb) } } },
      { step: 2, values: { grey: { height: 2, width: 3, colorspace: 1, png: pngOf(grey) } } },
    ]);
  });

  it('are refused where there are no events, and where they are none', async () => {
    await using without = await Trainer.open(tinyRun({ out: newFolder() }));
    await using nowhere = await Trainer.open(tinyRun());
    for (const trainer of [without, nowhere]) {
      expect(await failure(trainer.addImages('a', rgb))).toMatchObject({
        code: 'ERR_DPM_ARGUMENT',
        message: expect.stringContaining('without tensorboard') as string,
      });
    }
    await using trainer = await opened(newFolder());
    expect((await failure(trainer.addImages(1 as never, rgb))).message).toContain('tag is 1');
    expect((await failure(trainer.addImages('a', {} as never))).message).toContain('an ImageBatch');
    const two = new ImageBatch(new Uint8Array(8), [1, 2, 2, 2]);
    expect(await failure(trainer.addImages('a', two))).toMatchObject({ code: 'ERR_DPM_UNSUPPORTED' });
    expect(eventFiles(join(folder, `run-${folders - 1}`))).toEqual([]);
  });

  it('wait for nobody, and come before the end', async () => {
    const trainer = await opened(newFolder());
    const step = trainer.step();
    expect((await failure(trainer.addImages('a', rgb))).message).toContain('busy');
    await step;
    await trainer.close();
    expect(await failure(trainer.addImages('a', rgb))).toMatchObject({ code: 'ERR_DPM_CLOSED' });
  });
});
