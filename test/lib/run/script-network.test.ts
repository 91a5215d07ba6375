// Predictions of a model written in JavaScript for programs that decide while they run.
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { Device } from '../../../lib/index.js';
import { ScriptNetwork } from '../../../lib/run/script-network.js';

describe('a model written in JavaScript with guidance', () => {
  let device: Device;
  beforeAll(() => {
    device = Device.open({ device: 'cpu', threads: 1 });
  });
  afterAll(() => device.close());

  /** Predicts for states 1, 2, 3 of labels 10, 20, 30 and the unconditional label 40. */
  async function predicted(weights: number[] | null) {
    const asked: { x: number[]; times: number[]; labels: number[] }[] = [];
    const network = new ScriptNetwork(device, { elements: 1, classes: 50, head: true }, (x, times, labels) => {
      asked.push({ x: [...x], times: [...times], labels: Array.from(labels ?? []) });
      const out = x.map((value, row) => value + labels![row]!);
      return { out, head: out.map((value) => -value) };
    });
    const { engine } = device;
    const [x, out, head] = [engine.tensor(3), engine.tensor(3), engine.tensor(3)];
    await engine.write(x, Float32Array.of(1, 2, 3));
    const given = weights && Float32Array.from(weights);
    await network.native.predict(x, Float32Array.of(5, 6, 7), Int32Array.of(10, 20, 30), given, 40, out, head);
    const [outs, heads] = [new Float32Array(3), new Float32Array(3)];
    await engine.read(out, outs);
    await engine.read(head, heads);
    for (const tensor of [x, out, head]) tensor.free();
    return { asked, out: [...outs], head: [...heads] };
  }

  it('evaluates a sample of weight 0 with the label of no class alone, its second output among it', async () => {
    const { asked, out, head } = await predicted([0, 3, 1]);
    expect(asked).toEqual([
      { x: [1, 2, 3], times: [5, 6, 7], labels: [40, 20, 30] },
      { x: [2], times: [6], labels: [40] },
    ]);
    expect(out).toEqual([41, 42 + 3 * (22 - 42), 33]);
    expect(head).toEqual([-41, -22, -33]);
  });

  it('is measured without its first evaluation', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    let asked = 0;
    const network = new ScriptNetwork(device, { elements: 1, classes: 0, head: false }, (x) => {
      vi.advanceTimersByTime(asked++ % 2 === 0 ? 500 : 10 * x.length);
      return x;
    });
    expect([...(await network.native.measure(Uint32Array.of(2, 3), 1))]).toEqual([20, 30]);
  });

  it.each([[null], [[1, 1, 1]]])('evaluates once with weights %o', async (weights) => {
    const { asked, out } = await predicted(weights);
    expect(asked.map(({ labels }) => labels)).toEqual([[10, 20, 30]]);
    expect(out).toEqual([11, 22, 33]);
  });
});
