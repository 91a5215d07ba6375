// scripts/gpu-check from end to end, with the emulated device in place of a card, and where there is none.
import { describe, expect, it } from 'vitest';

import { devices } from '../../lib/engine/device.js';
import { GpuChecks } from '../support/gpu-check.js';
import { temporaryFolder } from '../support/temporary.js';

const checks = new GpuChecks(temporaryFolder());
const sanitizers = ['memcheck', 'racecheck', 'synccheck', 'initcheck'];
const needsCard = [
  'device tests',
  'products',
  'parity',
  'sequences',
  'operations',
  'evaluation',
  'train',
  'profile',
  'overhead',
  'update',
  ...sanitizers,
  'compiled peers',
];
/** Checks that cannot run without a card: NVIDIA's tools and PyTorch. */
const skipped = [...sanitizers, 'compiled peers'];

describe('scripts/gpu-check', () => {
  it('goes through all stages on the emulated device', async () => {
    const { report, lastLine, markdown } = await checks.run(checks.out('all'), '--self-test', '--quick');
    expect(report.stages.map(({ name }) => name)).toEqual(['versions', ...needsCard]);
    expect(report.stages.filter(({ status }) => status === 'failed')).toEqual([]);
    expect(report.machine.device).toMatch(/emulated device/);
    for (const { name, status, rows, strange } of report.stages) {
      expect(status, name).toBe(skipped.includes(name) ? 'skipped' : 'ok');
      if (status === 'ok') expect(rows.length, name).toBeGreaterThan(0);
      expect(strange, name).toEqual([]);
    }
    const passed = 1 + needsCard.length - skipped.length;
    expect(lastLine).toBe(`gpu-check: ${passed} passed, 0 failed, ${skipped.length} skipped`);
    expect(markdown).toMatch(/\| MNIST, 2 predictions \| bf16 \| L2 \|/);
    expect(markdown).toMatch(/\| mnist, batch 2 \| f32 \| largest \|/);
    expect(markdown).toMatch(/\| f32 1x1 256@4x4 -> 256@4x4, bias \| 1 \| [\d.]+ \(0, 1\) \| [\d.]+ \(1, 1\) \|/);
    expect(markdown).toMatch(/\| mnist \| 1 \| dpm-native tf32 \| [\d.]+ \|/);
    expect(markdown).toMatch(/\| Resample \| [^|]* \| [\d.]+ \| [\d.]+ \| GB\/s \|/);
    expect(markdown).toMatch(/\| up_blocks\.[^|]* \| convolution \|/);
  });

  // Another device may be `cuda` with $DPM_CUDA_PLUGIN.
  it.skipIf(devices().some(({ name, reason }) => name === 'cuda:0' && !reason.includes('no NVIDIA driver')))(
    'skips what needs a card where there is none',
    async () => {
      const { report, lastLine } = await checks.run(checks.out('none'));
      expect(report.mode).toBe('no card');
      expect(report.stages.map(({ name, status, reason }) => [name, status, reason])).toEqual([
        ['versions', 'ok', null],
        ...needsCard.map((name) => [name, 'skipped', 'no CUDA device']),
      ]);
      expect(report.machine.processor).not.toBe('');
      expect(lastLine).toBe(`gpu-check: 1 passed, 0 failed, ${needsCard.length} skipped`);
    },
    60_000,
  );
});
