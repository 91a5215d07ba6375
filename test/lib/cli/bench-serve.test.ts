// `dpm bench serve` serves the same requests both ways.
import { describe, expect, it } from 'vitest';

import { dpm } from '../../support/dpm.js';

interface Report {
  load: number;
  rowsPerSecond: number;
  capacity: { rows: number };
  workload: { milliseconds: number; lengths: number[]; longShare: number };
  policies: { policy: string; requests: number; mean: number; p99: number; shortP99: number; goodput: number }[];
  ratios: { mean: number; p99: number };
}

describe('dpm bench serve', () => {
  it('reports both policies over the same requests', async () => {
    const options = [
      '--device',
      'cpu',
      '--seconds',
      '1.5',
      '--rounds',
      '1',
      '--rows',
      '4',
      '--steps',
      '3,8',
      '--load',
      '0.5',
    ];
    const { code, stdout, stderr } = await dpm('bench', 'serve', '--json', ...options);
    expect([code, stderr]).toEqual([0, '']);
    const { load, capacity, workload, policies, ratios, rowsPerSecond } = JSON.parse(stdout) as Report;
    expect([load, capacity.rows, workload.lengths, workload.milliseconds]).toEqual([0.5, 4, [3, 8], 1500]);
    expect(policies.map(({ policy }) => policy)).toEqual(['request-level', 'step-level']);
    expect(policies[0]!.requests).toBe(policies[1]!.requests);
    // Half of what the batch can do, less the start, which does not count.
    const offered = (0.5 * rowsPerSecond * 1.5 * 0.9) / 5.5;
    expect(policies[0]!.requests).toBeGreaterThan(0.6 * offered);
    expect(policies[0]!.requests).toBeLessThan(1.4 * offered);
    for (const { mean, p99, shortP99, goodput } of policies) {
      expect(mean).toBeGreaterThan(0);
      expect(p99).toBeGreaterThanOrEqual(shortP99 > p99 ? 0 : mean / 2);
      expect(goodput).toBeGreaterThan(0.5);
    }
    expect(ratios.mean).toBeCloseTo(policies[1]!.mean / policies[0]!.mean, 6);
  });

  it('is a table for people', async () => {
    const { stdout } = await dpm(
      'bench',
      'serve',
      '--device',
      'cpu',
      '--seconds',
      '1',
      '--rounds',
      '1',
      '--steps',
      '2',
    );
    expect(stdout).toMatch(/^policy +requests +mean ms +p50 +p99 +p99 of 2 +p99 ms\/record +goodput +loop p99 ms$/m);
    expect(stdout).toMatch(/^step-level over request-level: mean \d+\.\d\d, p99 /m);
  });

  it.each([
    [['--load', '0'], /--load has to be above 0/],
    [['--seconds', '0'], /--seconds has to be above 0/],
    [['--seconds', '4000'], /--seconds has to be above 0 and at most 3600/],
    [['--rounds', '0'], /--rounds has to be from 1 to 100/],
    [['--long', '2'], /--long has to be a share from 0 to 1/],
    [['--steps', '3,0'], /--steps has to be positive integers/],
    [['--rows', '0'], /rows is 0/],
  ])('refuses %j', async (options, message) => {
    const { code, stderr } = await dpm('bench', 'serve', '--device', 'cpu', ...options);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
