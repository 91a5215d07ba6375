// Memory that a closed network has released, even while it is still referenced.
import { expect, it } from 'vitest';

import { native } from '../../../lib/engine/addon.js';
import { digitsGraph, engineOptions } from '../../support/native-engine.js';

const pixels = 28 * 28;

it('is its weights and the memory of its evaluations', async () => {
  const graph = await digitsGraph();
  const engine = new (native().Engine)(engineOptions);
  const before = engine.memory().host;
  const network = await engine.loadNetwork(graph, { classes: 0, divisor: null });
  const { weightBytes } = network.info;
  const batch = 16;
  const x = new Float32Array(batch * pixels);
  await network.forward(batch, x, new Float32Array(batch).fill(5), null, new Float32Array(x.length), null);
  expect(engine.memory().host).toBeGreaterThan(before + weightBytes);
  await network.close();
  expect(engine.memory().host).toBe(before);
  expect(() => network.nodes()).toThrow('closed');
  await engine.close();
});
