// Waits of adaptive runs beside a batch.
import { describe, expect, it } from 'vitest';

import { Beside } from '../../../lib/batch/beside.js';

const refusals = () => ({ wait: 0, bytes: 0, deadline: 0 });

describe('runs beside a batch', () => {
  it('wait for those before them, as many at once as there are places', async () => {
    const refused = refusals();
    const beside = new Beside(2, 600, refused);
    const release: (() => void)[] = [];
    const begin = (): Promise<void> => beside.counted(() => new Promise<void>((resolve) => release.push(resolve)));
    const running = [begin()];
    // A run takes a second until one was measured.
    expect(beside.requireRoom()).toBe(0);
    running.push(begin());
    expect(beside.requireRoom()).toBe(500);
    running.push(begin());
    expect(() => beside.requireRoom()).toThrow(
      expect.objectContaining({ code: 'ERR_DPM_OVERLOADED', retryAfterMs: 1000 }),
    );
    expect(refused.wait).toBe(1);
    release.shift()!();
    await running[0];
    expect(beside.requireRoom()).toBe(500);
    for (const each of release) each();
    await Promise.all(running);
    expect(beside.requireRoom()).toBe(0);
  });

  it('are refused where there is no place', () => {
    expect(() => new Beside(0, 600, refusals()).requireRoom()).toThrow(/runs no adaptive samplers/);
  });
});
