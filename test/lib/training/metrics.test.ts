// Metrics of steps: one line of JSON each, read again, and cut off where a run goes on.
import { appendFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { meanLosses, MetricsFile, metricsLine, readLosses, type StepMetrics } from '../../../lib/training/metrics.js';
import { failure } from '../../support/failure.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
let files = 0;
const fresh = (): string => join(folder, `${files++}.jsonl`);

const metrics = (step: number, loss = 1 / step): StepMetrics => ({
  step,
  loss,
  gradientNorm: 2,
  rate: 1e-4,
  averageDecay: 0.9,
  imagesPerSecond: 100.5,
  seconds: step / 2,
});

async function written(...steps: number[]): Promise<string> {
  const path = fresh();
  await using file = await MetricsFile.open(path, 0);
  for (const step of steps) await file.add(metrics(step));
  return path;
}

describe('metrics', () => {
  it('are one line of JSON a step', async () => {
    const path = await written(1, 2);
    const lines = readFileSync(path, 'utf8').split('\n');
    expect(lines.map((line) => (line === '' ? null : (JSON.parse(line) as unknown)))).toEqual([
      metrics(1),
      metrics(2),
      null,
    ]);
    expect(await readLosses(path)).toEqual([
      { step: 1, loss: 1 },
      { step: 2, loss: 0.5 },
    ]);
  });

  it('have null for what JSON cannot hold', async () => {
    expect(JSON.parse(metricsLine(metrics(3, NaN)))).toMatchObject({ step: 3, loss: null });
    const path = fresh();
    writeFileSync(path, metricsLine(metrics(3, Infinity)));
    expect(await readLosses(path)).toEqual([{ step: 3, loss: NaN }]);
  });

  it('have lines of at most 65,536 bytes', async () => {
    const path = fresh();
    writeFileSync(path, ' '.repeat(65_536));
    expect(await readLosses(path)).toEqual([]);
    appendFileSync(path, ' ');
    expect((await failure(readLosses(path))).message).toMatch(/line 1 is longer than 65536 bytes$/);
  });

  it('are read across the parts of a long file', async () => {
    const path = fresh();
    writeFileSync(path, Array.from({ length: 5000 }, (_, i) => metricsLine(metrics(i + 1))).join(''));
    const losses = await readLosses(path);
    expect(losses).toHaveLength(5000);
    expect(losses.at(-1)).toEqual({ step: 5000, loss: 1 / 5000 });
  });

  it('leave a last line out that has no end', async () => {
    const path = await written(1, 2);
    appendFileSync(path, metricsLine(metrics(3)).slice(0, -1));
    expect(await readLosses(path)).toHaveLength(2);
  });

  it.each<[string, string, RegExp]>([
    ['text', 'loss\n', /line 2 is not JSON/],
    ['a list', '[]\n', /line 2 is not a JSON object/],
    ['no step', '{"loss":1}\n', /line 2 has no step/],
    ['a half step', '{"step":1.5,"loss":1}\n', /line 2 has no step/],
    ['no loss', '{"step":2}\n', /line 2 has no loss/],
    ['the same step', '{"step":1,"loss":1}\n', /line 2 has step 1 after step 1/],
    ['one key twice', '{"step":2,"step":3,"loss":1}\n', /line 2/],
    ['no end', 'x'.repeat(70_000), /line 2 is longer than/],
  ])('refuse %s', async (_, line, message) => {
    const path = await written(1);
    appendFileSync(path, line);
    const error = await failure(readLosses(path));
    expect(error.code).toBe('ERR_DPM_CONFIG');
    expect(error.message).toMatch(message);
    expect(error.message).toContain(path);
  });

  it('refuse what is no file', async () => {
    for (const path of [join(folder, 'none'), folder]) {
      expect((await failure(readLosses(path))).code).toBe('ERR_DPM_FILE');
    }
  });
});

describe('a file of metrics that a run goes on with', () => {
  it.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [4, 3],
  ])('is cut off behind step %i', async (step, kept) => {
    const path = await written(1, 2, 5);
    {
      await using file = await MetricsFile.open(path, step === 4 ? 9 : step);
      expect(file.lastStep).toBe([0, 1, 2, 5][kept]);
      await file.add(metrics(10));
    }
    expect((await readLosses(path)).map((each) => each.step)).toEqual([...[1, 2, 5].slice(0, kept), 10]);
  });

  it.each(['{"step":3,"loss":1', '\0\0\0\0\n', '{"step":1,"loss":1}\n', 'x'.repeat(70_000)])(
    'loses damaged lines: %j',
    async (damage) => {
      const path = await written(1, 2);
      appendFileSync(path, damage);
      await using file = await MetricsFile.open(path, 7);
      expect(file.lastStep).toBe(2);
      await file.add(metrics(8));
      await file.sync();
      expect((await readLosses(path)).map((each) => each.step)).toEqual([1, 2, 8]);
    },
  );

  it('that is not there is made', async () => {
    const path = fresh();
    await using file = await MetricsFile.open(path, 100);
    expect(file.lastStep).toBe(0);
    expect(existsSync(path)).toBe(true);
  });

  it('is refused where it cannot be written', async () => {
    const inner = join(folder, 'folder.jsonl');
    mkdirSync(inner);
    for (const path of [inner, join(folder, 'no', 'metrics.jsonl')]) {
      const error = await failure(MetricsFile.open(path, 0));
      expect(error).toMatchObject({ code: 'ERR_DPM_FILE', message: expect.stringContaining(path) as string });
    }
  });

  it('is closed where it cannot be cut off', async () => {
    const path = await written(1, 2);
    await using other = await open(path, 'r');
    const cut = vi.spyOn(Object.getPrototypeOf(other) as FileHandle, 'truncate').mockRejectedValue(new Error('EIO'));
    onTestFinished(() => {
      cut.mockRestore();
    });
    expect((await failure(MetricsFile.open(path, 1))).message).toContain(`cannot write ${path}: EIO`);
    // A file that is closed has no number.
    expect((cut.mock.contexts[0] as FileHandle).fd).toBe(-1);
  });

  it.skipIf(!existsSync('/dev/full'))('says that the disk is full', async () => {
    const path = join(folder, 'full.jsonl');
    symlinkSync('/dev/full', path);
    await using file = await MetricsFile.open(path, 0);
    const error = await failure(file.add(metrics(1)));
    expect(error).toMatchObject({ code: 'ERR_DPM_FILE', message: expect.stringMatching(/ENOSPC/) as string });
    expect(error.message).toContain(path);
  });
});

describe('means of losses', () => {
  it('are of consecutive losses, at the last step, without what is not finite', () => {
    const losses = [2, 4, NaN, 6, NaN, NaN, 10].map((loss, i) => ({ step: 10 * (i + 1), loss }));
    expect(meanLosses(losses, 2)).toEqual([
      [20, 3],
      [40, 6],
      [60, NaN],
      [70, 10],
    ]);
    expect(meanLosses(losses, 1).map(([, mean]) => mean)).toEqual([2, 4, NaN, 6, NaN, NaN, 10]);
    expect(meanLosses([], 3)).toEqual([]);
  });
});
