// Waits of adaptive runs beside a batch.
import { describe, expect, it, onTestFinished, vi } from 'vitest';

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

  it('wait as long as is allowed, and no longer', () => {
    for (const [maxWait, outcome] of [
      [1000, 'taken'],
      [999, 'refused'],
    ] as const) {
      const beside = new Beside(1, maxWait, refusals());
      void beside.counted(() => new Promise(() => undefined));
      if (outcome === 'taken') expect(beside.requireRoom()).toBe(1000);
      else expect(() => beside.requireRoom()).toThrow(/is 1000 ms, above maxWait of 999 ms/);
    }
  });

  it('are expected to take a mean in which the last one counts a fifth, and tell their times', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const beside = new Beside(1, Infinity, refusals());
    const { signal } = new AbortController();
    const run = (milliseconds: number): Promise<unknown> =>
      beside.counted((pass) =>
        pass(signal, () => {
          vi.advanceTimersByTime(milliseconds);
          return Promise.resolve();
        }),
      );
    // The second waits for the first.
    expect(await Promise.all([run(500), run(100)])).toMatchObject([
      { queued: 0, ran: 500 },
      { queued: 500, ran: 100 },
    ]);
    void beside.counted(() => new Promise(() => undefined));
    expect(beside.requireRoom()).toBeCloseTo(0.8 * (0.8 * 1000 + 0.2 * 500) + 0.2 * 100, 9);
  });

  it('are refused where there is no place', () => {
    expect(() => new Beside(0, 600, refusals()).requireRoom()).toThrow(/runs no adaptive samplers/);
  });
});
