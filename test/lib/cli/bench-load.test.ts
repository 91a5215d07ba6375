// `dpm bench load` times the parts of loading a network.
import { expect, it } from 'vitest';

import { dpm } from '../../support/dpm.js';

interface Report {
  rows: {
    network: string;
    milliseconds: number;
    fastest: number;
    parts: Record<string, number>;
    parameters: number;
    weightBytes: number;
  }[];
}

it('reports every part of a load', async () => {
  const { code, stdout, stderr } = await dpm('bench', 'load', '--json', '--network', 'mnist', '--device', 'cpu');
  expect([code, stderr]).toEqual([0, '']);
  const [row, ...others] = (JSON.parse(stdout) as Report).rows;
  expect([row?.network, others.length, row?.parameters]).toEqual(['mnist', 0, 649_329]);
  const { milliseconds = 0, fastest = 0, parts = {}, weightBytes = 0 } = row ?? {};
  expect(Object.keys(parts)).toEqual(['configuration', 'plan', 'read', 'pack', 'rest']);
  for (const [part, each] of Object.entries(parts)) expect(each, part).toBeGreaterThan(0);
  // Medians of parts need not add up to the median of the whole, but no part is longer than that.
  expect(Math.max(...Object.values(parts))).toBeLessThan(milliseconds);
  expect(fastest).toBeLessThanOrEqual(milliseconds);
  expect(weightBytes).toBeGreaterThan(4 * 649_329);
});

it('refuses a network of which there is no folder', async () => {
  const { code, stderr } = await dpm('bench', 'load', '--network', 'ddpmpp-deep', '--device', 'cpu');
  expect(code).toBe(2);
  expect(stderr).toContain("bench load takes no 'ddpmpp-deep'");
});
