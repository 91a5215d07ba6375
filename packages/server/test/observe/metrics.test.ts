// Tests of the counts of batches in the metrics, each under its own name and in its own unit.
import { expect, it, onTestFinished } from 'vitest';

import { type JobFigures, Metrics } from '../../src/observe/metrics.js';
import type { Registry } from '../../src/models/registry.js';

it('tells each count of a batch under its name, and its work in seconds', async () => {
  const stats = {
    rows: 1,
    paddedRows: 2,
    steps: 3,
    seconds: 4,
    unfinished: 5,
    resident: 6,
    waiting: 7,
    backlog: 8500,
    slowdown: 2,
  };
  const batcher = { stats: () => stats, capacity: { rowsPerSecond: 9 }, memory: 10 };
  const metrics = new Metrics({ models: [{ id: 'm', batcher }] } as unknown as Registry);
  onTestFinished(() => {
    metrics.close();
  });
  const told = await metrics.register.metrics();
  const found = [...told.matchAll(/^(dpm_\w+)\{model="m"\} (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]);
  expect(Object.fromEntries(found)).toEqual({
    dpm_rows_total: 1,
    dpm_padded_rows_total: 2,
    dpm_evaluations_total: 3,
    dpm_step_seconds_total: 4,
    dpm_requests_unfinished: 5,
    dpm_samples_resident: 6,
    dpm_samples_waiting: 7,
    dpm_backlog_seconds: 8.5,
    dpm_capacity_rows_per_second: 4.5,
    dpm_slowdown: 2,
    dpm_model_bytes: 10,
  });
});

it('tells of jobs from one reading for all figures, and nothing while they cannot be read', async () => {
  const metrics = new Metrics({ models: [] } as unknown as Registry);
  onTestFinished(() => {
    metrics.close();
  });
  let reads = 0;
  let figures: JobFigures | Error = {
    jobs: new Map([['queued', 2]]),
    rowsLeft: new Map([['a', 30]]),
    backlogSeconds: new Map([['a', 1.5]]),
  };
  metrics.readJobs(() => {
    ++reads;
    return figures instanceof Error ? Promise.reject(figures) : Promise.resolve(figures);
  });
  const told = async (): Promise<string[]> =>
    (await metrics.register.metrics()).split('\n').filter((line) => line.startsWith('dpm_jobs'));
  expect(await told()).toEqual([
    'dpm_jobs{state="queued"} 2',
    'dpm_jobs_rows_left{queue="a"} 30',
    'dpm_jobs_backlog_seconds{queue="a"} 1.5',
  ]);
  expect(reads).toBe(1);
  // A queue that is empty is told of no more.
  figures = { ...figures, rowsLeft: new Map([['b', 4]]), backlogSeconds: new Map() };
  expect(await told()).toEqual(['dpm_jobs{state="queued"} 2', 'dpm_jobs_rows_left{queue="b"} 4']);
  figures = new Error('gone');
  expect(await told()).toEqual([]);
  expect(reads).toBe(3);
});
