// scripts/gpu-check from end to end, with the emulated device in place of a card, and where there is none.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { devices } from '../../lib/engine/device.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

interface Stage {
  name: string;
  status: string;
  reason: string | null;
  rows: unknown[];
}

interface Report {
  mode: string;
  machine: { device: string; processor: string };
  stages: Stage[];
  passed: number;
  failed: number;
  skipped: number;
}

const folder = temporaryFolder();
const needsCard = ['device tests', 'memcheck', 'racecheck', 'parity', 'evaluation', 'update', 'overhead'];

async function gpuCheck(...options: string[]): Promise<{ report: Report; lastLine: string; markdown: string }> {
  // Looking for PyTorch takes longer than all the rest.
  const env = { ...process.env, PYTHON: '/bin/false' };
  const { stdout } = await promisify(execFile)(packagePath('scripts/gpu-check'), [...options, '--out', folder], {
    env,
  });
  const report = JSON.parse(readFileSync(join(folder, 'gpu-check.json'), 'utf8')) as Report;
  const markdown = readFileSync(join(folder, 'gpu-check.md'), 'utf8');
  return { report, lastLine: stdout.trim().split('\n').at(-1)!, markdown };
}

describe('scripts/gpu-check', () => {
  it('goes through all stages on the emulated device', async () => {
    const { report, lastLine, markdown } = await gpuCheck('--self-test', '--quick');
    expect(report.stages.map(({ name }) => name)).toEqual(['versions', ...needsCard]);
    expect(report.stages.filter(({ status }) => status === 'failed')).toEqual([]);
    expect(report.machine.device).toMatch(/emulated device/);
    for (const { name, status, rows } of report.stages) {
      // The sanitizer has nothing to do without a card.
      expect(status, name).toBe(name.endsWith('check') ? 'skipped' : 'ok');
      if (status === 'ok') expect(rows.length, name).toBeGreaterThan(0);
    }
    expect(lastLine).toBe('gpu-check: 6 passed, 0 failed, 2 skipped');
    expect(markdown).toMatch(/\| MNIST, 3 predictions \| bf16 \| L2 \|/);
  }, 60_000);

  // With $DPM_CUDA_PLUGIN another device may be `cuda`.
  it.skipIf(devices().some(({ name, reason }) => name === 'cuda:0' && !reason.includes('no NVIDIA driver')))(
    'skips what needs a card where there is none',
    async () => {
      const { report, lastLine } = await gpuCheck();
      expect(report.mode).toBe('no card');
      expect(report.stages.map(({ name, status, reason }) => [name, status, reason])).toEqual([
        ['versions', 'ok', null],
        ...needsCard.map((name) => [name, 'skipped', 'no CUDA device']),
      ]);
      expect(report.machine.processor).not.toBe('');
      expect(lastLine).toBe('gpu-check: 1 passed, 0 failed, 7 skipped');
    },
    60_000,
  );
});
