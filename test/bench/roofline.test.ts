import { readFileSync } from 'node:fs';

import { beforeAll, describe, expect, it } from 'vitest';

import { cards, findCard, type Rates } from '../../bench/roofline/cards.js';
import { rooflineFiles, rooflineGraphs } from '../../bench/roofline/command.js';
import { cudaNodes } from '../../bench/roofline/fusion.js';
import { evaluationKernels, kernelsOfNode, stepKernels } from '../../bench/roofline/kernels.js';
import { normPasses, storedPixelStride } from '../../bench/roofline/layout.js';
import {
  computeBoundBatch,
  kernelBytes,
  kernelsOfStep,
  kernelTime,
  stepCost,
  stepTime,
} from '../../bench/roofline/model.js';
import type { NamedGraph } from '../../bench/roofline/rows.js';
import { productShapes } from '../../bench/roofline/shapes.js';
import { DpmError } from '../../lib/base/errors.js';
import { benchNetworks } from '../../lib/cli/bench/networks.js';
import type { NativeMap, NativeNode } from '../../lib/engine/binding.js';
import { multiplyAdds } from '../../lib/network/cost.js';
import { unetGraph } from '../../lib/network/unet.js';
import { packagePath } from '../support/temporary.js';

/** A map with storage of its own. */
function map(value: number, channels: number, side: number, role: NativeMap['role'] = 'internal'): NativeMap {
  return { value, channels, height: side, width: side, firstChannel: 0, pixelStride: channels, role };
}

function node(op: NativeNode['op'], fields: Partial<NativeNode> & Pick<NativeNode, 'inputs' | 'output'>): NativeNode {
  return {
    name: op,
    op,
    parts: 1,
    weightElements: 0,
    multiplyAdds: 0,
    kernel: 1,
    stride: 1,
    padBefore: 0,
    padAfter: 0,
    heads: 1,
    groups: 1,
    scale: 1,
    bias: false,
    upsample: false,
    silu: false,
    ...fields,
  };
}

/** A 3x3 convolution with a bias from 16 to 32 channels on maps of 8 x 8. */
function convolution(fields: Partial<NativeNode> = {}): NativeNode {
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

const onlyKernel = (of: NativeNode, type: 'f32' | 'tf32' | 'bf16' = 'bf16') => {
  const kernels = kernelsOfNode(of, type);
  expect(kernels).toHaveLength(1);
  return kernels[0]!;
};

describe('kernels of a node', () => {
  it('counts a convolution by hand', () => {
    const kernel = onlyKernel(convolution());
    expect(kernel).toMatchObject({ kind: 'convolution', unit: 'bf16', flops: 2 * 294912, executedFlops: 2 * 294912 });
    expect(kernel.fixedBytes).toBe(2 * 4608 + 4 * 32);
    expect(kernel.sampleBytes).toBe(2 * 64 * (16 + 32));
    expect(onlyKernel(convolution(), 'tf32').sampleBytes).toBe(4 * 64 * (16 + 32));
  });

  it('reads a residual once', () => {
    const kernel = onlyKernel(convolution({ inputs: [map(0, 16, 8), null, map(2, 32, 8)] }));
    expect(kernel.sampleBytes).toBe(2 * 64 * (16 + 32 + 32));
  });

  it('adds a channel vector, and what follows it, in a second pass', () => {
    const inputs = [map(0, 16, 8), map(3, 32, 1), map(2, 32, 8)] as const;
    const [product, pass] = kernelsOfNode(convolution({ inputs }), 'bf16');
    expect(product!.sampleBytes).toBe(2 * 64 * (16 + 32));
    expect(pass).toMatchObject({ kind: 'element-wise', flops: 0, fixedBytes: 0 });
    expect(pass!.sampleBytes).toBe(2 * (64 * (32 + 32 + 32) + 32));
  });

  it('pads images and outputs, and charges for it', () => {
    const image = map(0, 3, 8, 'image');
    expect(['f32', 'tf32', 'bf16'].map((type) => storedPixelStride(image, type as 'f32'))).toEqual([4, 4, 16]);
    const output = map(1, 3, 8, 'output');
    const kernel = onlyKernel(convolution({ inputs: [image, null, null], output, multiplyAdds: 64 * 9 * 3 * 3 }));
    expect(kernel.flops).toBe(2 * 64 * 9 * 9);
    expect(kernel.executedFlops).toBeCloseTo(2 * 64 * 9 * 16 * 8);
    expect(kernel.fixedBytes).toBe(2 * 9 * 16 * 8 + 4 * 8);
    expect(kernel.sampleBytes).toBe(2 * 64 * (16 + 8));
  });

  it('takes products of vectors outside the tensor cores', () => {
    const maps = { inputs: [map(0, 8, 1), null, null] as const, output: map(1, 4, 1) };
    const kernel = onlyKernel(node('convolution', { ...maps, weightElements: 32, multiplyAdds: 32, bias: true }));
    expect(kernel).toMatchObject({ kind: 'linear', unit: 'f32', flops: 64, fixedBytes: 80, sampleBytes: 24 });
  });

  it('gives cuDNN the attentions that it takes', () => {
    const attention = (channels: number): NativeNode => {
      const [q, k, v] = [0, 1, 2].map((part) => ({
        ...map(part, channels, 4),
        firstChannel: part * channels,
        pixelStride: 3 * channels,
      }));
      return node('attention', { inputs: [q!, k!, v!], output: map(3, channels, 4) });
    };
    expect(onlyKernel(attention(256))).toMatchObject({ unit: 'bf16', sampleBytes: 4 * 2 * 16 * 256 });
    expect(onlyKernel(attention(512)).unit).toBe('f32');
    expect(onlyKernel(attention(256), 'tf32').unit).toBe('f32');
  });

  it('norms small maps in one kernel and large ones in two', () => {
    const norm = (side: number): NativeNode =>
      node('group_norm', { inputs: [map(0, 128, side), null, null], output: map(1, 128, side), groups: 32 });
    expect(onlyKernel(norm(16))).toMatchObject({ fixedBytes: 1024, sampleBytes: 2 * 2 * 256 * 128 });
    const [statistics, result] = kernelsOfNode(norm(256), 'bf16');
    const mapBytes = 2 * 65536 * 128;
    expect(statistics!.sampleBytes).toBe(mapBytes + 2 * 32 * 64 * 4);
    expect(result!.sampleBytes).toBe(2 * mapBytes + 2 * 32 * 64 * 4);
    expect(normPasses({ pixels: 4, channels: 2048, groups: 1 }, true, 'bf16')).toBe('held');
    expect(normPasses({ pixels: 4, channels: 2049, groups: 1 }, false, 'bf16')).toBe('wide');
  });

  it('copies the borders and updates the state', () => {
    const nodes = [convolution({ inputs: [map(0, 3, 8, 'image'), null, null], output: map(1, 3, 8, 'output') })];
    const kernels = evaluationKernels(nodes, 'bf16');
    expect(kernels.map(({ kind }) => kind)).toEqual(['border', 'convolution', 'border']);
    expect(kernels[0]!.sampleBytes).toBe(64 * (3 * 4 + 16 * 2));
    expect(kernels[2]!.sampleBytes).toBe(64 * (3 * 4 + 8 * 2));
    expect(stepKernels(100).map(({ sampleBytes }) => sampleBytes)).toEqual([452, 1424]);
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
    expect(cudaNodes([product, norm, reader])).toEqual([product, norm, reader]);
  });
});

describe('the time of kernels', () => {
  const rates: Rates = { bf16: 100, tf32: 50, f32: 10, bytes: 20 };
  const kernel = { name: '', kind: 'convolution', flops: 0, fixedBytes: 100, sampleBytes: 10 } as const;

  it('is the longer of products and bytes', () => {
    const product = { ...kernel, unit: 'bf16', executedFlops: 200 } as const;
    expect(kernelBytes(product, 3)).toBe(130);
    expect(kernelTime(product, 1, rates)).toEqual({ seconds: 5.5, waitsForBytes: true });
    expect(kernelTime(product, 10, rates)).toEqual({ seconds: 20, waitsForBytes: false });
    expect(kernelTime({ ...product, unit: 'f32' }, 1, rates).seconds).toBe(20);
    // 2 n = (100 + 10 n) / 20 at n = 10 / 3.
    expect(computeBoundBatch([product], rates)).toBe(4);
  });

  it('adds up', () => {
    const product = { ...kernel, unit: 'bf16', executedFlops: 2000, flops: 1000 } as const;
    const pass = { ...kernel, kind: 'group norm', unit: 'f32', executedFlops: 0 } as const;
    expect(stepCost([product, pass], 2)).toEqual({ launches: 2, flops: 2000, bytes: 240, weightBytes: 200 });
    const time = stepTime([product, pass], 2, rates);
    expect(time.seconds).toBe(40 + 6);
    expect(time.memoryBound).toBeCloseTo(6 / 46);
    expect(time.shares.convolution).toBeCloseTo(40 / 46);
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
  // keys and values are three products, the time embedding's sum reads a map, and nothing else counts. Here norms of large
  // maps read twice, and borders and enlargements count.
  it.each([
    ['ddpm-cifar10-32', 12.44, { 1: 114, 16: 758, 128: 5565 }],
    ['ddpm-celebahq-256', 497.0, { 1: 2024, 16: 28967, 128: 230141 }],
    ['ddpmpp-deep', 37.09, { 1: 339, 128: 16253 }],
  ])('%s costs what it should', (name, gigaflop, megabytes) => {
    const kernels = kernelsOfStep(graphOf(name).nodes, 'bf16');
    expect(Math.abs(stepCost(kernels, 1).flops / 1e9 / gigaflop - 1)).toBeLessThan(0.005);
    for (const [batch, expected] of Object.entries(megabytes)) {
      const ratio = stepCost(kernels, Number(batch)).bytes / 1e6 / expected;
      expect(ratio).toBeGreaterThan(0.94);
      expect(ratio).toBeLessThan(1.16);
    }
  });

  it('take longer the larger the batch, and the slower the card', () => {
    for (const { nodes } of graphs) {
      const kernels = kernelsOfStep(nodes, 'bf16');
      for (const { sheet, ceiling } of cards) {
        const times = [1, 2, 16, 128].map((batch) => stepTime(kernels, batch, ceiling));
        for (const [i, { seconds }] of times.slice(1).entries()) expect(seconds).toBeGreaterThan(times[i]!.seconds);
        for (const [i, { memoryBound }] of times.slice(1).entries()) {
          expect(memoryBound).toBeLessThan(times[i]!.memoryBound + 1e-9);
        }
        expect(times[0]!.seconds).toBeGreaterThan(stepTime(kernels, 1, sheet).seconds);
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
