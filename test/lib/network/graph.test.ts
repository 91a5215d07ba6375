import { describe, expect, it } from 'vitest';

import { parameterCount, requiredTensors } from '../../../lib/network/cost.js';
import { GraphBuilder } from '../../../lib/network/graph.js';

const map = { channels: 2, height: 3, width: 4 };

describe('a graph', () => {
  it('knows the shapes of views, matrices and positions', () => {
    const graph = new GraphBuilder();
    const image = graph.input('image', map);
    const view = graph.add({ op: 'view', first: 1, channels: 1, height: 2, width: 6 }, 'view', [image]);
    expect(graph.value(view)).toMatchObject({ channels: 1, height: 2, width: 6 });
    const weights = [graph.constant('rows', [5, 3]), graph.constant('columns', [1, 4])];
    const separable = graph.add({ op: 'separable' }, 'separable', [image], { weights });
    expect(graph.value(separable)).toMatchObject({ channels: 2, height: 5, width: 1 });
    const biases = [graph.constant('table', [2, 5])];
    const placed = graph.add({ op: 'position' }, 'position', [separable], { biases });
    expect(graph.value(placed)).toMatchObject({ channels: 2, height: 5, width: 1 });
  });

  it.each([
    [{ op: 'view', first: 1, channels: 2, height: 3, width: 4 }, /its channels leave the map/],
    [{ op: 'view', first: -1, channels: 1, height: 3, width: 4 }, /its channels leave the map/],
    [{ op: 'view', first: 0, channels: 2, height: 3, width: 5 }, /another number of pixels/],
  ] as const)('refuses %j of 2 x 3 x 4', (operation, message) => {
    const graph = new GraphBuilder();
    const image = graph.input('image', map);
    expect(() => graph.add(operation, 'node', [image])).toThrow(message);
  });

  it.each([
    [
      [5, 4],
      [1, 4],
    ],
    [
      [5, 3],
      [1, 3],
    ],
    [
      [5, 3, 1],
      [1, 4],
    ],
  ])('refuses matrices %j and %j on 2 x 3 x 4', (rows, columns) => {
    const graph = new GraphBuilder();
    const image = graph.input('image', map);
    const weights = [graph.constant('rows', rows), graph.constant('columns', columns)];
    expect(() => graph.add({ op: 'separable' }, 'node', [image], { weights })).toThrow(/is no matrix of [34] columns/);
  });

  it('does not ask a checkpoint for constants that are known', () => {
    const graph = new GraphBuilder();
    const image = graph.input('image', map);
    const weights = [graph.given('mean', [1, 3], new Float32Array(3).fill(1 / 3)), graph.constant('learned', [4, 4])];
    graph.output('output', graph.add({ op: 'separable' }, 'node', [image], { weights }));
    const built = graph.build();
    expect(built.constants).toHaveLength(2);
    expect([...requiredTensors(built)]).toEqual([['learned', [4, 4]]]);
    expect(parameterCount(built)).toBe(16);
  });
});
