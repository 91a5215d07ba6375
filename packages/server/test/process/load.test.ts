// Tests of a server under load: all accepted work is done, and equal requests get equal bytes.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, it } from 'vitest';

import { metric, serveDigits, server, until } from '../support.js';

serveDigits({ models: [{ path: 'mnist', device: 'cpu', maxWait: 2000 }] });

const generator = fileURLToPath(new URL('../../../../bench/serve/load.mjs', import.meta.url));

interface Report {
  sent: number;
  lost: number;
  unequal: number;
  refusedShare: number;
  refusedWithoutRetryAfter: number;
  goodputOfOffered: number;
  outcomes: Record<string, number>;
}

async function load(...options: string[]): Promise<Report> {
  const args = [generator, '--url', server.url, '--seeds', '5', '--json', ...options];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 });
  return JSON.parse(stdout) as Report;
}

it('does what it takes below its capacity', async () => {
  const report = await load('--load', '0.6', '--seconds', '5', '--mix', '5,10', '--stream', '0.3', '--count', '2');
  expect(report).toMatchObject({ lost: 0, unequal: 0, refusedShare: 0 });
  expect(report.sent).toBeGreaterThan(20);
  expect(report.outcomes.done).toBe(report.sent);
});

it('refuses what is too much, with the time', async () => {
  const report = await load('--load', '4', '--seconds', '5', '--mix', '10,25');
  expect(report).toMatchObject({ lost: 0, unequal: 0, refusedWithoutRetryAfter: 0 });
  expect(report.refusedShare).toBeGreaterThan(0.3);
  expect(report.outcomes.done! + report.outcomes.refused!).toBe(report.sent);
});

it('is rid of those who leave', async () => {
  const report = await load('--load', '1', '--seconds', '5', '--mix', '70', '--stream', '1', '--abandon', '0.5');
  expect(report.lost).toBe(0);
  expect(report.outcomes.abandoned).toBeGreaterThan(0);
  await until(async () => (await metric('dpm_samples_resident')) === 0);
  expect(await metric('dpm_streams_open')).toBe(0);
});
