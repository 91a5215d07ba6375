// The addon's own functions with arguments that its TypeScript would never pass: each has to be refused with a code,
// and the process has to live.

import { beforeAll, describe, expect, it } from 'vitest';

import { native } from '../../lib/engine/addon.js';
import type { NativeNetwork, NativeRegisters, NativeRunRequest } from '../../lib/engine/binding.js';
import type { NativeEngine } from '../../lib/engine/native-engine.js';
import type { NativeGraph } from '../../lib/engine/native-graph.js';
import { GraphBuilder } from '../../lib/network/graph.js';
import { copied } from '../../lib/network/layers.js';
import { linear, stepRecord } from '../../lib/program/builder.js';
import { packRecord } from '../../lib/program/pack.js';
import { digitsGraph, engineOptions, runRequest } from '../support/native-engine.js';

const pixels = 28 * 28;
let graph: NativeGraph;
const plain = { classes: 0, divisor: null };

beforeAll(async () => {
  graph = await digitsGraph();
});

async function withNetwork(use: (network: NativeNetwork, engine: NativeEngine) => Promise<void>): Promise<void> {
  const engine = new (native().Engine)(engineOptions);
  try {
    await use(await engine.loadNetwork(graph, plain), engine);
  } finally {
    await engine.close();
  }
}

function registers(x: NativeRegisters['x'], history: NativeRegisters['history'] = []): NativeRegisters {
  return { x, y: null, out: null, head: null, noise: null, history };
}

const copyRecord = packRecord(stepRecord({ time: 0, x: linear({ x: 1 }) }), false);

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return (error as { code?: string }).code ?? 'no code';
  }
  return 'accepted';
}

describe('what nobody takes or wants', () => {
  it('is refused: previews without a function', () =>
    withNetwork(async (network) => {
      await expect(network.run({ ...runRequest(1), previewEvery: 1 })).rejects.toMatchObject({
        code: 'ERR_DPM_ARGUMENT',
      });
      const seen: number[] = [];
      const onPreview = (record: number): void => void seen.push(record);
      await network.run({ ...runRequest(5), previewEvery: 2, onPreview });
      expect(seen).toEqual([2, 4]);
    }));

  it('is not loaded: gradients of constants that there are not, or that no network may have', () =>
    withNetwork(async (_, engine) => {
      const load = async (of: NativeGraph, options: object): Promise<unknown> =>
        engine.loadNetwork(of, { ...plain, ...options });
      for (const learned of [[1e9], [-1], [0.5], ['x'], [0, 0], 'all', { length: 1 }]) {
        await expect(load(graph, { derivative: 'weights', learned }), JSON.stringify(learned)).rejects.toMatchObject({
          code: 'ERR_DPM_ARGUMENT',
        });
      }
      const sum = { op: 'row_sum', name: 'sum', inputs: [0], outputs: [graph.values.length], weights: [], biases: [] };
      const value = { ...graph.values[0]!, binding: 'gradient.x' };
      const shared = { ...graph, nodes: [...graph.nodes, sum], values: [...graph.values, value] } as never;
      await expect(load(shared, {})).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    }));

  it('is not loaded: a network whose loading is cancelled, queued or not', () =>
    withNetwork(async (network, engine) => {
      const { CancelToken } = native();
      for (const cancel of [engine, network, {}, 3]) {
        expect(codeOf(() => engine.loadNetwork(graph, plain, cancel as never))).toBe('ERR_DPM_ARGUMENT');
      }
      const [first, second] = [new CancelToken(), new CancelToken()];
      const loading = engine.loadNetwork(graph, plain, first);
      const queued = engine.loadNetwork(graph, plain, second);
      second.cancel();
      await expect(queued).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
      const loaded = await loading;
      expect(loaded.info.parameters).toBe(network.info.parameters);
      const cancelled = new CancelToken();
      cancelled.cancel();
      await expect(engine.loadNetwork(graph, plain, cancelled)).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    }));

  it('is not loaded by an engine that closes', async () => {
    const engine = new (native().Engine)(engineOptions);
    const loading = Array.from({ length: 20 }, () => engine.loadNetwork(graph, plain));
    const outcomes = Promise.allSettled(loading);
    await engine.close();
    const last = (await outcomes).at(-1)!;
    expect(last).toMatchObject({ status: 'rejected', reason: { code: 'ERR_DPM_CLOSED' } });
  });
});

describe('contexts that samples share', () => {
  /** The sum of an image and a context of two numbers. */
  function sumWithContext(varies?: 'group'): NativeGraph {
    const builder = new GraphBuilder();
    const pair = { channels: 1, height: 2, width: 1 };
    const [image, context] = [builder.input('image', pair), builder.input('context', pair, varies)];
    const sum = builder.add({ op: 'add' }, 'sum', [copied(builder, 'x', image), copied(builder, 'c', context)]);
    builder.output('output', copied(builder, 'y', sum));
    const { values, nodes } = builder.build();
    return { values, nodes, constants: [], files: [] };
  }

  it.each([
    ['fewer than samples', [1], 4],
    ['that are not there', [0, 2], 4],
    ['of which one lies far outside', [0, 2 ** 32 - 1], 4],
    ['beside half a context', [0, 1], 5],
  ])('are refused: %s', (_, groups, length) =>
    withNetwork(async (__, engine) => {
      const network = await engine.loadNetwork(sumWithContext('group'), plain);
      const forward = async (given: object): Promise<Float32Array> => {
        const out = new Float32Array(4);
        await network.forward(2, new Float32Array(4), new Float32Array(2), null, out, null, given);
        return out;
      };
      const context = Float32Array.from({ length }, (___, i) => i + 1);
      await expect(forward({ context, groups: Uint32Array.from(groups) })).rejects.toMatchObject({
        code: 'ERR_DPM_ARGUMENT',
      });
      await expect(forward({ context, groups: [0, 1] })).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
      const right = context.subarray(0, 4);
      expect(await forward({ context: right, groups: Uint32Array.of(1, 0) })).toEqual(Float32Array.of(3, 4, 1, 2));
      // Nothing stays of one call's groups.
      expect(await forward({ context: right })).toEqual(right);
      const tensor = engine.tensor(4);
      await engine.write(tensor, right);
      expect(await forward({ context: tensor, groups: Uint32Array.of(1, 1) })).toEqual(Float32Array.of(3, 4, 3, 4));
      await expect(forward({ context: tensor, groups: Uint32Array.of(2, 1) })).rejects.toMatchObject({
        code: 'ERR_DPM_ARGUMENT',
      });
    }),
  );

  it('are refused by a network whose samples have their own, and where a graph has other words for them', () =>
    withNetwork(async (_, engine) => {
      const network = await engine.loadNetwork(sumWithContext(), plain);
      const given = { context: new Float32Array(4), groups: new Uint32Array(2) };
      const forward = async (): Promise<void> =>
        network.forward(2, new Float32Array(4), new Float32Array(2), null, new Float32Array(4), null, given);
      await expect(forward()).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
      expect(codeOf(() => engine.loadNetwork(sumWithContext('shared' as never), plain))).toBe('ERR_DPM_ARGUMENT');
    }));
});

describe('a run', () => {
  it('has one label and one weight a sample', () =>
    withNetwork((network) => {
      for (const length of [0, 2]) {
        expect(codeOf(() => network.run({ ...runRequest(1), labels: new Int32Array(length) }))).toBe(
          'ERR_DPM_ARGUMENT',
        );
        expect(codeOf(() => network.run({ ...runRequest(1), guidance: new Float32Array(length) }))).toBe(
          'ERR_DPM_ARGUMENT',
        );
      }
      return Promise.resolve();
    }));

  it('ends when its progress throws', () =>
    withNetwork(async (network) => {
      let told = 0;
      const onProgress = (): void => {
        ++told;
        throw new RangeError('mine');
      };
      await expect(network.run({ ...runRequest(20_000), onProgress })).rejects.toThrow('mine');
      // Reports that were on their way; 20,000 steps would give about a thousand.
      expect(told).toBeLessThan(200);
    }));
});

describe('an evaluation', () => {
  it('has no label beyond the classes', () =>
    withNetwork(async (_, engine) => {
      const network = await engine.loadNetwork(graph, { ...plain, classes: 3 });
      const forward = (label: number): Promise<void> => {
        const [x, out] = [new Float32Array(pixels), new Float32Array(pixels)];
        return network.forward(1, x, Float32Array.of(1), Int32Array.of(label), out, null);
      };
      for (const label of [-1, 2]) await expect(forward(label)).resolves.toBeUndefined();
      expect(codeOf(() => forward(3))).toBe('ERR_DPM_ARGUMENT');
      const tensor = engine.tensor(pixels);
      const predict = (label: number): Promise<void> =>
        network.predict(tensor, Float32Array.of(1), Int32Array.of(label), null, -1, tensor, null);
      expect(codeOf(() => predict(3))).toBe('ERR_DPM_ARGUMENT');
    }));
});

describe('a batch', () => {
  const open = (network: NativeNetwork) =>
    network.batch({
      rows: 2,
      slots: 2,
      fit: false,
      whole: false,
      weight: 1,
      guides: false,
      constrains: false,
      onQuestion: null,
    });

  it('is closed once', () =>
    withNetwork(async (network) => {
      const batch = await open(network);
      const closing = batch.close();
      expect(batch.close()).toBe(closing);
      await closing;
    }));
});

describe('objects of the wrong class', () => {
  it('are refused where a cancel token is expected', () =>
    withNetwork((network, engine) => {
      for (const cancel of [engine, network, {}, 3]) {
        expect(codeOf(() => network.run({ ...runRequest(1), cancel } as unknown as NativeRunRequest))).toBe(
          'ERR_DPM_ARGUMENT',
        );
      }
      return Promise.resolve();
    }));

  it('cannot be made by JavaScript', () =>
    withNetwork((network, engine) => {
      for (const made of [network, engine.tensor(4)]) {
        const Class = made.constructor as new () => unknown;
        expect(codeOf(() => new Class())).toBe('ERR_DPM_ARGUMENT');
      }
      return Promise.resolve();
    }));

  it('and tensors of another engine are refused', () =>
    withNetwork(async (network, engine) => {
      const other = new (native().Engine)(engineOptions);
      const x = other.tensor(pixels);
      const out = new Float32Array(pixels);
      expect(codeOf(() => network.forward(1, x, Float32Array.of(1), null, out, null))).toBe('ERR_DPM_ARGUMENT');
      expect(codeOf(() => engine.read(x, out))).toBe('ERR_DPM_ARGUMENT');
      expect(codeOf(() => engine.update(1, 4, copyRecord, registers(x), new Uint32Array(5)))).toBe('ERR_DPM_ARGUMENT');
      await other.close();
    }));
});

describe('getters that change what has been checked', () => {
  it('cannot lengthen the history', () =>
    withNetwork(async (_, engine) => {
      const x = engine.tensor(4);
      const history: unknown[] = [null];
      Object.defineProperty(history, 0, {
        get: () => {
          for (let i = 1; i < 5000; ++i) history[i] = x;
          return x;
        },
      });
      const wrong = registers(x, history as NativeRegisters['history']);
      await engine.update(1, 4, copyRecord, wrong, new Uint32Array(5));
      expect(history).toHaveLength(5000);
    }));

  it('cannot detach a buffer in between', () =>
    withNetwork(async (network) => {
      const spoiled = runRequest(1);
      const { programs } = spoiled;
      Object.defineProperty(spoiled, 'initialScale', {
        get: () => {
          structuredClone(programs.buffer, { transfer: [programs.buffer as ArrayBuffer] });
          return Float32Array.of(1);
        },
      });
      expect(codeOf(() => network.run(spoiled))).toBe('ERR_DPM_ARGUMENT');
      await Promise.resolve();
    }));
});

describe('graphs', () => {
  it('with unknown words, impossible sizes or loose ends are refused', async () => {
    const engine = new (native().Engine)(engineOptions);
    const refused = async (change: Record<string, unknown>, wrong: object = plain): Promise<string> => {
      try {
        await engine.loadNetwork({ ...graph, ...change }, wrong as typeof plain);
      } catch (error) {
        return (error as { code: string }).code;
      }
      return 'accepted';
    };
    const { values, nodes, constants } = graph;
    const withNode = (index: number, change: object): object => ({
      nodes: nodes.with(index, { ...nodes[index]!, ...change }),
    });
    const withValue = (index: number, change: object): object => ({
      values: values.with(index, { ...values[index]!, ...change }),
    });
    const convolution = nodes.findIndex(({ op }) => op === 'convolution');
    const norm = nodes.findIndex(({ op }) => op === 'group_norm');
    expect(await refused({})).toBe('accepted');
    const arguments_: object[] = [
      withNode(0, { op: 'pull' }),
      withNode(0, { order: 'sin,cos' }),
      withNode(convolution, { inputs: [values.length] }),
      withNode(convolution, { inputs: [2 ** 31] }),
      withNode(convolution, { inputs: [-1] }),
      withNode(convolution, { inputs: [values.length - 1] }),
      withNode(convolution, { outputs: nodes[convolution + 1]!.outputs }),
      withNode(convolution, { weights: [constants.length] }),
      withNode(convolution, { stride: 0 }),
      withNode(convolution, { padBefore: -1 }),
      withNode(norm, { epsilon: NaN }),
      withValue(0, { height: 2.5 }),
      withValue(1, { binding: 'image' }),
      { nodes: nodes.slice(0, -1) },
      { nodes: [...nodes].reverse() },
      { values: null },
      { nodes: [null] },
    ];
    for (const change of arguments_)
      expect(await refused(change as Record<string, unknown>), JSON.stringify(change).slice(0, 80)).toBe(
        'ERR_DPM_ARGUMENT',
      );
    const shapes: object[] = [
      withValue(0, { height: 65536, width: 65536 }),
      withValue(0, { channels: 2 }),
      withValue(nodes[convolution]!.outputs[0]!, { channels: 7 }),
      withNode(norm, { groups: 7 }),
      withNode(convolution, { kernel: 5 }),
    ];
    for (const change of shapes)
      expect(await refused(change as Record<string, unknown>), JSON.stringify(change).slice(0, 80)).toMatch(
        /^ERR_DPM_(TENSOR_SHAPE|ARGUMENT)$/,
      );
    const given = (change: object): Record<string, unknown> => ({
      constants: constants.with(0, { ...constants[0]!, values: new Float32Array(4), ...change }),
    });
    expect(await refused(given({}))).toBe('ERR_DPM_TENSOR_SHAPE');
    expect(await refused(given({ values: [1, 2] }))).toBe('ERR_DPM_ARGUMENT');
    expect(await refused(given({ values: new Float64Array(4) }))).toBe('ERR_DPM_ARGUMENT');
    expect(await refused(given({ shape: [-4] }))).toMatch(/^ERR_DPM_(TENSOR_SHAPE|ARGUMENT)$/);
    expect(await refused({}, { classes: 'two', divisor: null })).toBe('ERR_DPM_ARGUMENT');
    expect(await refused({}, { classes: 0, divisor: 'space' })).toBe('ERR_DPM_ARGUMENT');
    expect(codeOf(() => engine.tensor(2.9))).toBe('ERR_DPM_ARGUMENT');
    await engine.close();
  });
});

describe('order and closing', () => {
  it('making a tensor does not wait for a run', () =>
    withNetwork(async (network, engine) => {
      const cancel = new (native().CancelToken)();
      const run = network
        .run({ ...runRequest(2000), cancel })
        .catch((error: unknown) => (error as { code: string }).code);
      await new Promise((resolve) => setTimeout(resolve, 20));
      engine.tensor(1);
      // Work to cancel still exists.
      cancel.cancel();
      expect(await run).toBe('ERR_DPM_ABORTED');
    }));

  it('every close waits for running work', async () => {
    const engine = new (native().Engine)(engineOptions);
    const network = await engine.loadNetwork(graph, plain);
    const order: string[] = [];
    const note = (name: string) => () => {
      order.push(name);
    };
    const run = network.run(runRequest(2000)).then(note('run'), note('run'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    await Promise.all([
      run,
      engine.close().then(note('close')),
      engine.close().then(note('close')),
      network.close().then(note('network')),
    ]);
    expect(order[0]).toBe('run');
    expect(order.slice(1).sort()).toEqual(['close', 'close', 'network']);
    expect(engine.memory()).toEqual({ host: 0, device: 0, peakDevice: 0 });
  });

  it('closing interrupts a profile', async () => {
    const engine = new (native().Engine)(engineOptions);
    const network = await engine.loadNetwork(graph, plain);
    const profile = network.profile(1, 100_000).catch((error: unknown) => (error as { code: string }).code);
    await new Promise((resolve) => setTimeout(resolve, 10));
    await engine.close();
    expect(await profile).toBe('ERR_DPM_CLOSED');
  });

  it('what a progress callback throws rejects the run', () =>
    withNetwork(async (network) => {
      const failure = new Error('the listener is broken');
      const run = network.run({
        ...runRequest(2000),
        onProgress: () => {
          throw failure;
        },
      });
      await expect(run).rejects.toBe(failure);
    }));
});
