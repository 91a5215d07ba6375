// Files of events: the bytes that TensorBoard itself writes, their names, and disks that fail.
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { EventFile } from '../../../../lib/training/tensorboard/event-file.js';
import type { StepMetrics } from '../../../../lib/training/metrics.js';
import { failure } from '../../../support/failure.js';
import { eventFiles, eventsIn } from '../../../support/read-events.js';
import { packagePath, temporaryFolder } from '../../../support/temporary.js';

const root = temporaryFolder();
let folders = 0;
function fresh(): string {
  const folder = join(root, `run-${folders++}`);
  mkdirSync(folder);
  return folder;
}

function metrics(step: number, changed: Partial<StepMetrics> = {}): StepMetrics {
  const numbers = { loss: 0.1, gradientNorm: 2.5, rate: 2e-4, averageDecay: 0.75, imagesPerSecond: 1234.5 };
  return { step, ...numbers, seconds: 7, ...changed };
}

/** Sets the clock to seconds since 1970. */
function clock(seconds: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: 1000 * seconds });
  onTestFinished(() => {
    vi.useRealTimers();
  });
}

/** Lets a call on files fail once. */
async function failing(name: 'appendFile' | 'sync', before?: (file: FileHandle) => Promise<void>): Promise<void> {
  await using any = await open(packagePath('package.json'));
  const spy = vi.spyOn(Object.getPrototypeOf(any) as FileHandle, name);
  spy.mockImplementationOnce(async function (this: FileHandle) {
    await before?.(this);
    throw new Error('ENOSPC');
  });
  onTestFinished(() => {
    spy.mockRestore();
  });
}

describe('a file of events', () => {
  it('has the bytes that TensorBoard writes', async () => {
    const folder = fresh();
    await using file = new EventFile(folder, 3);
    clock(1_700_000_000.25);
    await file.addStep(metrics(4));
    clock(1_700_000_001.5);
    const picture = { png: Uint8Array.from({ length: 256 }, (_, i) => i), height: 3, width: 7, channels: 1 };
    await file.addPicture(4, 'samples', picture);
    const odd = { loss: NaN, gradientNorm: Infinity, rate: 0, averageDecay: -1, imagesPerSecond: 1e-30 };
    await file.addStep(metrics(2 ** 31 - 1, odd));
    const [path, ...others] = eventFiles(folder);
    expect(others).toEqual([]);
    expect(basename(path!)).toBe(`events.out.tfevents.1700000000.${hostname()}.${process.pid}`);
    expect(readFileSync(path!).equals(readFileSync(packagePath('test/fixtures/tensorboard/events.bin')))).toBe(true);
  });

  it('is made by the first event', async () => {
    const folder = fresh();
    {
      await using file = new EventFile(folder, 0);
      await file.sync();
      expect(eventFiles(folder)).toEqual([]);
    }
    expect(eventFiles(folder)).toEqual([]);
  });

  it('is the last one by its name, whatever the clock says', async () => {
    const folder = fresh();
    clock(999);
    for (const [seconds, expected] of [
      [999, '0000000999'],
      [999, '0000001000'],
      [5, '0000001001'],
      [3000.9, '0000003000'],
    ] as const) {
      clock(seconds);
      await using file = new EventFile(folder, 0);
      await file.addStep(metrics(1));
      expect(basename(eventFiles(folder).at(-1)!)).toContain(`.${expected}.`);
    }
    expect(eventFiles(folder)).toHaveLength(4);
  });

  it('says where a run goes on, once', async () => {
    const folder = fresh();
    await using file = new EventFile(folder, 7);
    for (const step of [8, 9]) await file.addStep(metrics(step));
    const events = eventsIn(eventFiles(folder)[0]!);
    expect(events.map(({ step, version, session }) => [step, version, session])).toEqual([
      [0, 'brain.Event:2', undefined],
      [8, undefined, 1],
      [8, undefined, undefined],
      [9, undefined, undefined],
    ]);
  });

  it('is refused where it cannot be made', async () => {
    const none = join(root, 'none');
    expect(await failure(new EventFile(none, 0).addStep(metrics(1)))).toMatchObject({
      code: 'ERR_DPM_FILE',
      message: expect.stringContaining(`cannot read ${none}: ENOENT`) as string,
    });
  });
});

describe('a disk that fails', () => {
  it.skipIf(!existsSync('/proc/self'))('is told where it takes no new file', async () => {
    const error = await failure(new EventFile('/proc', 0).addStep(metrics(1)));
    expect(error).toMatchObject({ code: 'ERR_DPM_FILE' });
    expect(error.message).toContain('cannot write /proc/events.out.tfevents.');
  });

  it('leaves whole records, behind which others can come', async () => {
    const folder = fresh();
    await using file = new EventFile(folder, 0);
    const half = async (handle: FileHandle): Promise<void> => {
      await handle.writeFile('half of a record');
    };
    await failing('appendFile', half);
    const error = await failure(file.addStep(metrics(1)));
    const [path] = eventFiles(folder);
    expect(error).toMatchObject({ code: 'ERR_DPM_FILE' });
    expect(error.message).toContain(`cannot write ${path}: ENOSPC`);
    expect(statSync(path!).size).toBe(0);
    await file.addStep(metrics(1));
    await failing('appendFile', half);
    await failure(file.addPicture(1, 'samples', { png: new Uint8Array(9), height: 1, width: 1, channels: 1 }));
    await file.addStep(metrics(2));
    expect(eventsIn(path!).map(({ step, version, session }) => [step, version ?? session])).toEqual([
      [0, 'brain.Event:2'],
      [1, 1],
      [1, undefined],
      [2, undefined],
    ]);
  });

  it('is told where events would not survive a crash', async () => {
    const folder = fresh();
    await using file = new EventFile(folder, 0);
    await file.addStep(metrics(1));
    await failing('sync');
    const error = await failure(file.sync());
    expect(error).toMatchObject({ code: 'ERR_DPM_FILE' });
    expect(error.message).toContain(eventFiles(folder)[0]);
    await file.sync();
  });

  it('holds no file behind its end', async () => {
    const folder = fresh();
    const file = new EventFile(folder, 0);
    await file.addStep(metrics(1));
    await file.close();
    expect(await failure(file.addStep(metrics(2)))).toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});
