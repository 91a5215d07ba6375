import { readFileSync } from 'node:fs';

import { beforeAll, describe, expect, it } from 'vitest';

import { cards, findCard, type Card } from '../../bench/roofline/cards.js';
import { rooflineFiles, rooflineGraphs } from '../../bench/roofline/command.js';
import { evaluationKernels, stepKernels } from '../../bench/roofline/evaluation.js';
import { cudaNodes, type CudaNode } from '../../bench/roofline/fusion.js';
import { kernelsOfNode, type Kernel } from '../../bench/roofline/kernels.js';
import { normPasses, storedPixelStride } from '../../bench/roofline/layout.js';
import { kernelBytes, kernelsOfStep, kernelTime, occupancy, stepCost, stepTime } from '../../bench/roofline/model.js';
import { plainNode } from '../../bench/roofline/plain-node.js';
import type { NamedGraph } from '../../bench/roofline/rows.js';
import { productShapes } from '../../bench/roofline/shapes.js';
import { DpmError } from '../../lib/base/errors.js';
import { benchNetworks } from '../../lib/cli/bench/networks.js';
import type { NativeMap } from '../../lib/engine/native-node.js';
import { multiplyAdds } from '../../lib/network/cost.js';
import { unetGraph } from '../../lib/network/unet.js';
import { packagePath } from '../support/temporary.js';

/** A map with storage of its own. */
function map(value: number, channels: number, side: number, role: NativeMap['role'] = 'internal'): NativeMap {
  return { value, storage: value, channels, height: side, width: side, firstChannel: 0, pixelStride: channels, role };
}

function node(op: CudaNode['op'], fields: Partial<CudaNode> & Pick<CudaNode, 'inputs' | 'output'>): CudaNode {
  return {
    ...plainNode,
    name: op,
    op,
    parts: 1,
    groups: 1,
    biasInNorm: false,
    ...fields,
  };
}

/** A 3x3 convolution with a bias from 16 to 32 channels on maps of 8 x 8. */
function convolution(fields: Partial<CudaNode> = {}): CudaNode {
  const maps = { inputs: [map(0, 16, 8), null, null] as const, output: map(1, 32, 8) };
  return node('convolution', {
    ...maps,
    kernel: 3,
    padBefore: 1,
    padAfter: 1,
    bias: true,
    weightElements: 9 * 16 * 32,
    multiplyAdds: 64 * 9 * 16 * 32,
    ...fields,
  });
}

const onlyKernel = (of: CudaNode, type: 'f32' | 'tf32' | 'bf16' = 'bf16') => {
  const kernels = kernelsOfNode(of, type);
  expect(kernels).toHaveLength(1);
  return kernels[0]!;
};

describe('kernels of a node', () => {
  it('counts a convolution by hand', () => {
    const kernel = onlyKernel(convolution({ biasInNorm: true }));
    expect(kernel).toMatchObject({ kind: 'convolution', unit: 'bf16', flops: 2 * 294912, executedFlops: 2 * 294912 });
    expect(kernel.fixedBytes).toBe(2 * 4608);
    expect(kernel.sampleBytes).toBe(2 * 64 * (16 + 32));
    expect(onlyKernel(convolution({ bias: false }), 'tf32').sampleBytes).toBe(4 * 64 * (16 + 32));
  });

  it.each([
    ['a bias', {}, 2 * 64 * (32 + 32), 4 * 32],
    ['a residual', { bias: false, inputs: [map(0, 16, 8), null, map(2, 32, 8)] as const }, 2 * 64 * 3 * 32, 0],
    ['a scale', { bias: false, scale: 0.5 }, 2 * 64 * 2 * 32, 0],
    ['an activation', { bias: false, silu: true }, 2 * 64 * 2 * 32, 0],
    ['a place in a wider map', { bias: false, output: { ...map(1, 32, 8), pixelStride: 64 } }, 2 * 64 * 2 * 32, 0],
  ])('has a pass of its own for %s', (_, fields, sampleBytes, fixedBytes) => {
    const [product, pass, ...others] = kernelsOfNode(convolution(fields), 'bf16');
    expect(others).toEqual([]);
    expect(product!.sampleBytes).toBe(2 * 64 * (16 + 32));
    expect(pass).toMatchObject({ kind: 'element-wise', flops: 0, sampleBytes, fixedBytes, elements: 64 * 32 });
  });

  it('adds a channel vector, and what follows it, in one pass', () => {
    const inputs = [map(0, 16, 8), map(3, 32, 1), map(2, 32, 8)] as const;
    const [product, pass] = kernelsOfNode(convolution({ inputs, bias: false }), 'bf16');
    expect(product!.sampleBytes).toBe(2 * 64 * (16 + 32));
    expect(pass!.sampleBytes).toBe(2 * (64 * (32 + 32 + 32) + 32));
  });

  it('pads images and outputs, and charges for it', () => {
    const image = map(0, 3, 8, 'image');
    expect(['f32', 'tf32', 'bf16'].map((type) => storedPixelStride(image, type as 'f32'))).toEqual([4, 4, 16]);
    const output = map(1, 3, 8, 'output');
    const padded = { inputs: [image, null, null] as const, output, multiplyAdds: 64 * 9 * 3 * 3, bias: false };
    const kernel = onlyKernel(convolution(padded), 'tf32');
    expect(kernel.flops).toBe(2 * 64 * 9 * 9);
    expect(kernel.executedFlops).toBeCloseTo(2 * 64 * 9 * 4 * 4);
    expect(kernel.fixedBytes).toBe(4 * 9 * 4 * 4);
    expect(kernel.sampleBytes).toBe(4 * 64 * (4 + 4));
  });

  it('has a kernel for the last convolution of 16 bits, which writes float32', () => {
    const output = map(1, 3, 8, 'output');
    const last = { output, multiplyAdds: 64 * 9 * 16 * 3, weightElements: 9 * 16 * 3 };
    const kernel = onlyKernel(convolution(last));
    expect(kernel).toMatchObject({ kind: 'convolution', unit: 'bf16', tile: null, flops: 2 * 64 * 9 * 16 * 3 });
    expect(kernel.executedFlops).toBe(2 * 64 * 9 * 16 * 8);
    expect(kernel.fixedBytes).toBe(2 * 9 * 16 * 3 + 4 * 3);
    expect(kernel.sampleBytes).toBe(2 * 64 * 16 + 4 * 64 * 3);
    expect(storedPixelStride(output, 'bf16')).toBe(4);
    const isOurs = (fields: Partial<CudaNode>, type: 'bf16' | 'tf32' = 'bf16'): boolean =>
      kernelsOfNode(convolution({ ...last, bias: false, ...fields }), type)[0]!.tile === null;
    expect(isOurs({})).toBe(true);
    expect(isOurs({ output: map(1, 3, 8, 'head') })).toBe(true);
    expect(isOurs({}, 'tf32')).toBe(false);
    expect(isOurs({ output: map(1, 3, 8) })).toBe(false);
    expect(isOurs({ output: map(1, 9, 8, 'output') })).toBe(false);
    expect(isOurs({ inputs: [map(0, 12, 8), null, null] })).toBe(false);
    expect(isOurs({ inputs: [map(0, 16, 8, 'image'), null, null] })).toBe(false);
    expect(isOurs({ inputs: [map(0, 16, 8), null, map(2, 3, 8)] })).toBe(false);
    expect(isOurs({ inputs: [map(0, 16, 8), map(2, 3, 1), null] })).toBe(false);
    expect(isOurs({ silu: true })).toBe(false);
    expect(isOurs({ scale: 0.5 })).toBe(false);
  });

  it('takes products of vectors outside the tensor cores', () => {
    const maps = { inputs: [map(0, 8, 1), null, null] as const, output: map(1, 4, 1) };
    const kernel = onlyKernel(node('convolution', { ...maps, weightElements: 32, multiplyAdds: 32, bias: true }));
    expect(kernel).toMatchObject({ kind: 'linear', unit: 'f32', flops: 64, fixedBytes: 80, sampleBytes: 24 });
  });

  it('has tensor cores for the attentions that they take', () => {
    const attention = (channels: number): CudaNode => {
      const [q, k, v] = [0, 1, 2].map((part) => ({
        ...map(part, channels, 4),
        firstChannel: part * channels,
        pixelStride: 3 * channels,
      }));
      return node('attention', { inputs: [q!, k!, v!], output: map(3, channels, 4) });
    };
    expect(onlyKernel(attention(256))).toMatchObject({ unit: 'bf16', sampleBytes: 4 * 2 * 16 * 256 });
    expect(onlyKernel(attention(512)).unit).toBe('bf16');
    expect(onlyKernel(attention(520)).unit).toBe('f32');
    expect(onlyKernel(attention(256), 'tf32').unit).toBe('f32');
  });

  it('norms small maps in one kernel and large ones in two', () => {
    const norm = (side: number): CudaNode =>
      node('group_norm', { inputs: [map(0, 128, side), null, null], output: map(1, 128, side), groups: 32 });
    expect(onlyKernel(norm(16))).toMatchObject({
      fixedBytes: 1024,
      sampleBytes: 2 * 2 * 256 * 128,
      elements: 256 * 128,
      instructions: 36,
    });
    const [statistics, result] = kernelsOfNode(norm(256), 'bf16');
    const mapBytes = 2 * 65536 * 128;
    expect(statistics!.sampleBytes).toBe(mapBytes + 2 * 32 * 64 * 4);
    expect(result!.sampleBytes).toBe(2 * mapBytes + 2 * 32 * 64 * 4);
    expect(normPasses({ pixels: 4, channels: 2048, groups: 1 }, true, 'bf16')).toBe('held');
    expect(normPasses({ pixels: 4, channels: 2049, groups: 1 }, false, 'bf16')).toBe('wide');
  });

  it('takes the norm before a convolution of a small map over', () => {
    const [x, normed, y] = [map(0, 16, 8), map(1, 16, 8), map(2, 32, 8)];
    const norm = node('group_norm', { inputs: [x, null, null], output: normed, groups: 4 });
    const residual = map(3, 32, 8);
    const product = convolution({ inputs: [normed, null, residual], output: y });
    const names = (batch: number, type: 'bf16' | 'f32', more: CudaNode[] = []): string[] =>
      evaluationKernels([norm, product, ...more], type, batch).map(({ kind }) => kind);
    expect(names(16, 'bf16')).toEqual(['convolution']);
    // 17 samples have more than 1024 pixels.
    expect(names(17, 'bf16')).toEqual(['group norm', 'convolution', 'element-wise']);
    expect(names(1, 'f32')).toEqual(['group norm', 'convolution', 'element-wise']);
    const other = node('add', { inputs: [normed, normed, null], output: map(4, 16, 8) });
    expect(names(1, 'bf16', [other])).toEqual(['group norm', 'convolution', 'element-wise']);
    const [joined] = evaluationKernels([norm, product], 'bf16', 1);
    expect(joined!.sampleBytes).toBe(2 * 64 * (16 + 32 + 32));
    expect(joined!.fixedBytes).toBe(2 * 4608 + 4 * 2 * 16 + 4 * 32);
    expect(joined!.tile).toBeNull();
  });

  it('lets a norm finish the convolution right before it', () => {
    const [x, residual, y] = [map(0, 16, 32), map(2, 32, 32), map(1, 32, 32)];
    const sum = convolution({ inputs: [x, null, residual], output: y });
    const norm = node('group_norm', { inputs: [y, null, null], output: map(3, 32, 32), groups: 8 });
    const reader = node('add', { inputs: [y, y, null], output: map(4, 32, 32) });
    const kinds = (...nodes: CudaNode[]): string[] => evaluationKernels(nodes, 'bf16', 4).map(({ kind }) => kind);
    const [, finishing] = evaluationKernels([sum, norm, reader], 'bf16', 4);
    expect(kinds(sum, norm, reader)).toEqual(['convolution', 'group norm', 'element-wise']);
    // Products, residual, sum and result.
    expect(finishing!.sampleBytes).toBe(4 * 2 * 1024 * 32);
    expect(finishing!.fixedBytes).toBe(4 * 2 * 32 + 4 * 32);
    expect(finishing!.instructions).toBe(46);
    const passes = ['convolution', 'element-wise', 'group norm'];
    expect(kinds({ ...sum, silu: true }, norm)).toEqual(passes);
    expect(kinds({ ...sum, biasInNorm: true }, norm)).toEqual(passes);
    expect(kinds(sum, { ...norm, inputs: [y, null, map(5, 32, 1)] })).toEqual(passes);
    expect(kinds(sum, { ...norm, inputs: [map(6, 32, 32), null, null] })).toEqual(passes);
    expect(kinds({ ...sum, inputs: [x, null, { ...residual, firstChannel: 4 }] }, norm)).toEqual(passes);
    // Readers of the sum beside the norm, and a sum too large for a block.
    const shortcut = convolution({ inputs: [y, null, null], output: map(7, 32, 32), bias: false });
    expect(kinds(sum, norm, shortcut)).toEqual([...passes, 'convolution']);
    const [large, all] = [{ ...y, height: 256, width: 256 }, { ...map(3, 32, 256) }];
    const ofLarge = { ...sum, inputs: [map(0, 16, 256), null, map(2, 32, 256)] as const, output: large };
    expect(kinds(ofLarge, { ...norm, inputs: [large, null, null], output: all })).toEqual([...passes, 'group norm']);
  });

  it('computes what follows from the time once a trajectory, and moves it in every step', () => {
    const time = node('time_embedding', { inputs: [null, null, null], output: map(5, 8, 1) });
    const projection = node('convolution', { inputs: [map(5, 8, 1), null, null], output: map(6, 32, 1) });
    const product = convolution({
      inputs: [map(0, 3, 8, 'image'), map(6, 32, 1), null],
      output: map(1, 3, 8, 'output'),
    });
    const nodes = [time, projection, product];
    expect(evaluationKernels(nodes, 'f32', 1).map(({ kind }) => kind)).toEqual(['convolution', 'element-wise']);
    const [select, finish] = stepKernels(nodes, 'bf16');
    expect(select!.sampleBytes).toBe(2 * 228 + 4 + 2 * 2 * 32);
    expect(finish!.sampleBytes).toBe(3 * 192 * 4 + 64 * 8 * 2 + 64 * 16 * 2 + 228);
  });
});

describe('fusion for the cuda device', () => {
  it('enlarges by itself', () => {
    const [enlargement, product] = cudaNodes([convolution({ upsample: true, output: map(1, 32, 16) })]);
    expect(enlargement).toMatchObject({ op: 'upsample', output: { channels: 16, height: 16, width: 16 } });
    expect(product).toMatchObject({ upsample: false, inputs: [enlargement!.output, null, null] });
  });

  it('lets a norm add the channel vector of what it alone reads', () => {
    const [x, vector, y] = [map(0, 16, 8), map(2, 32, 1), map(1, 32, 8)];
    const product = convolution({ inputs: [x, vector, null], output: y });
    const norm = node('group_norm', { inputs: [y, null, null], output: map(3, 32, 8) });
    const [bare, adding] = cudaNodes([product, norm]);
    expect(bare!.inputs).toEqual([x, null, null]);
    expect(adding!.inputs).toEqual([y, null, vector]);
    const reader = node('add', { inputs: [y, y, null], output: map(4, 32, 8) });
    expect(cudaNodes([product, norm, reader]).map(({ inputs }) => inputs)).toEqual(
      [product, norm, reader].map(({ inputs }) => inputs),
    );
  });
});

describe('the bias of a convolution', () => {
  const y = map(1, 32, 8);
  const norm = node('group_norm', { inputs: [y, null, null], output: map(3, 32, 8) });
  const isInNorm = (...nodes: CudaNode[]): boolean => cudaNodes(nodes)[0]!.biasInNorm;

  it('is added by the norm that alone reads it', () => {
    expect(isInNorm(convolution(), norm)).toBe(true);
    expect(isInNorm(convolution({ bias: false }), norm)).toBe(false);
    expect(isInNorm(convolution({ parts: 2 }), norm)).toBe(false);
    expect(isInNorm(convolution({ scale: 0.5 }), norm)).toBe(false);
    expect(isInNorm(convolution({ inputs: [map(0, 16, 8), null, map(2, 32, 8)] }), norm)).toBe(false);
    expect(isInNorm(convolution(), norm, node('add', { inputs: [y, y, null], output: map(4, 32, 8) }))).toBe(false);
  });
});

describe('the time of kernels', () => {
  const rates = { bf16: 100e6, tf32: 50e6, f32: 10e6, bytes: 20e6 };
  const card: Card = { name: '', title: '', multiprocessors: 4, issue: 1e6, sheet: rates, ceiling: rates };
  const kernel: Kernel = {
    name: '',
    kind: 'attention',
    unit: 'bf16',
    flops: 0,
    executedFlops: 0,
    fixedBytes: 100,
    sampleBytes: 10,
    elements: 0,
    instructions: 0,
    tile: null,
  };

  it('is that of products, bytes, instructions or any node, whichever is longest', () => {
    const product = { ...kernel, executedFlops: 200 };
    expect(kernelBytes(product, 3)).toBe(130);
    expect(kernelTime(product, 1, card)).toEqual({ seconds: 5.5e-6, limit: 'bytes' });
    expect(kernelTime(product, 10, card)).toEqual({ seconds: 20e-6, limit: 'products' });
    expect(kernelTime({ ...product, unit: 'f32' }, 1, card).seconds).toBe(20e-6);
    expect(kernelTime({ ...kernel, elements: 3200, instructions: 2 }, 1, card)).toEqual({
      seconds: 50e-6,
      limit: 'instructions',
    });
    expect(kernelTime({ ...kernel, fixedBytes: 0 }, 1, card)).toEqual({ seconds: 2.5e-6, limit: 'node' });
  });

  it('grows where tiles leave multiprocessors idle, and convolutions are slower than large products', () => {
    const tiled = { ...kernel, executedFlops: 1000, tile: { rows: 128, columns: 256, depth: 1 } };
    expect(occupancy(tiled, 1, card)).toBe(0.5);
    expect(occupancy(tiled, 2, card)).toBe(1);
    expect(occupancy(tiled, 3, card)).toBe(0.75);
    expect(kernelTime(tiled, 1, card).seconds).toBeCloseTo(20e-6);
    expect(kernelTime({ ...tiled, kind: 'convolution' }, 1, card).seconds).toBeCloseTo(20e-6 / 0.85);
    expect(kernelTime({ ...tiled, kind: 'convolution' }, 1, card, 'sheet').seconds).toBeCloseTo(20e-6);
  });

  it('adds up', () => {
    const product = { ...kernel, executedFlops: 2000, flops: 1000 };
    const pass: Kernel = { ...kernel, kind: 'group norm', unit: 'f32' };
    expect(stepCost([product, pass], 2)).toEqual({ launches: 2, flops: 2000, bytes: 240, weightBytes: 200 });
    const time = stepTime([product, pass], 2, card);
    expect(time.seconds).toBeCloseTo(46e-6);
    expect(time.limits).toEqual({
      bytes: expect.closeTo(6 / 46) as number,
      products: expect.closeTo(40 / 46) as number,
      instructions: 0,
      node: 0,
    });
    expect(time.shares.attention).toBeCloseTo(40 / 46);
  });
});

describe('cards', () => {
  it('never exceed their sheets', () => {
    for (const { sheet, ceiling } of cards) {
      for (const key of ['bf16', 'tf32', 'f32', 'bytes'] as const) expect(ceiling[key]).toBeLessThan(sheet[key]);
    }
    expect(findCard('h100').ceiling).toMatchObject({ bf16: 790e12, bytes: 3e12 });
    expect(findCard('h200').ceiling).toMatchObject({ bf16: 785e12, bytes: 4.3e12 });
  });

  it('are refused when they are unknown', () => {
    expect(() => findCard('b100')).toThrow(DpmError);
    expect(() => findCard('b100')).toThrow("--card has 'b100', known: a100, h100, h200");
  });
});

describe('the table of products', () => {
  const lines = (nodes: CudaNode[]): string[][] =>
    productShapes([nodes])
      .split('\n')
      .slice(2, -1)
      .map((line) => line.split('\t'));

  it('has the tokens of queries and of keys, which may come from wider maps', () => {
    const keys = { ...map(1, 32, 8), height: 77, width: 1, pixelStride: 96 };
    const attention = node('attention', { heads: 2, inputs: [map(0, 32, 4), keys, keys], output: map(2, 32, 4) });
    const scale = String(Math.fround(0.25));
    expect(lines([attention])).toEqual([['attention', '2', '16', '77', '16', '32', '96', '96', '32', scale]]);
    expect(lines([{ ...attention, causal: true }])).toEqual([]);
  });

  it('says what it is of', () => {
    expect(productShapes([], 'others', '--others')).toContain('of others in bf16 (npm run roofline -- --others)');
  });
});

describe('the benchmark networks', () => {
  let graphs: NamedGraph[];
  beforeAll(async () => {
    graphs = await rooflineGraphs(Object.keys(benchNetworks));
  });
  const graphOf = (name: string): NamedGraph => graphs.find(({ network }) => network === name)!;

  it('have the multiply-adds of their descriptions', () => {
    for (const { network, nodes } of graphs) {
      const counted = nodes.reduce((sum, each) => sum + each.multiplyAdds, 0);
      expect(counted).toBe(multiplyAdds(unetGraph(benchNetworks[network]!.unet)));
    }
  });

  // Counted independently: GFLOP of a sample; MB in bf16 at a batch, where a norm reads and writes its map once, queries,
  // keys and values are three products, the time embedding's sum reads a map, and nothing else counts. Here norms of small
  // maps are a part of their convolution, which saves a fifth; what follows the others is a pass, which adds up to half.
  it.each([
    ['ddpm-cifar10-32', 12.44, { 1: 114, 16: 758, 128: 5565 }],
    ['ddpm-celebahq-256', 497.0, { 1: 2024, 16: 28967, 128: 230141 }],
    ['ddpmpp-deep', 37.09, { 1: 339, 128: 16253 }],
  ])('%s costs what it should', (name, gigaflop, megabytes) => {
    const { nodes } = graphOf(name);
    // Work that depends only on the time is left out, as it is not a step's.
    const flops = stepCost(kernelsOfStep(nodes, 'bf16', 1), 1).flops / 1e9 / gigaflop;
    expect(Math.abs(flops - 1)).toBeLessThan(0.005);
    for (const [batch, expected] of Object.entries(megabytes)) {
      const ratio = stepCost(kernelsOfStep(nodes, 'bf16', Number(batch)), Number(batch)).bytes / 1e6 / expected;
      expect(ratio).toBeGreaterThan(0.75);
      expect(ratio).toBeLessThan(1.5);
    }
  });

  it('has at most 110 nodes in a step of one sample', () => {
    expect(kernelsOfStep(graphOf('ddpm-cifar10-32').nodes, 'bf16', 1).length).toBeLessThanOrEqual(110);
  });

  it('take longer the larger the batch, and the slower the card', () => {
    for (const { nodes } of graphs) {
      for (const card of cards) {
        const times = [1, 2, 16, 128].map(
          (batch) => stepTime(kernelsOfStep(nodes, 'bf16', batch), batch, card).seconds,
        );
        for (const [i, seconds] of times.slice(1).entries()) expect(seconds).toBeGreaterThan(times[i]!);
        const kernels = kernelsOfStep(nodes, 'bf16', 128);
        expect(times[3]).toBeGreaterThan(stepTime(kernels, 128, card, 'sheet').seconds);
      }
    }
  });

  it('are what bench/roofline and the fixture of cuDNN tests were written from', () => {
    const stored = (path: string): string => readFileSync(packagePath(path), 'utf8');
    const { readme, json } = rooflineFiles(graphs);
    expect(stored('bench/roofline/README.md')).toBe(readme);
    expect(stored('bench/roofline/roofline.json')).toBe(json);
    expect(stored('test/cuda/dnn/network_shapes.tsv')).toBe(productShapes(graphs.map(({ nodes }) => nodes)));
  });
});
