import { readFileSync } from 'node:fs';

import type { InterpretedModel } from './interpreter.js';

export interface GoldenCase {
  name: string;
  steps: number;
  eta: number | null;
  last_noise_clip_pixel: number | null;
  noise?: number[][];
  expected: number[];
}

function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../fixtures/samplers/${name}`, import.meta.url), 'utf8'));
}

/** Runs of the published implementations; see test/fixtures/samplers/README.md. */
export const golden = fixture('cases.json') as { shape: number[]; x_T: number[]; cases: GoldenCase[] };

/** The table m_n of the analytic cases. */
export const goldenMoments = fixture('m.json') as number[];

export function goldenCase(name: string): GoldenCase {
  const found = golden.cases.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no golden case ${name}`);
  return found;
}

/** The elementwise network of the golden cases. */
export const goldenModel: InterpretedModel = {
  out(x, t) {
    const u = t / 1000;
    const logA = -(0.1 * u + 9.95 * u * u);
    const [a, b] = [Math.exp(logA), -Math.expm1(logA)];
    return (Math.sqrt(b) * x) / (0.25 * a + b) + 0.3 * Math.sqrt(a) * Math.tanh(2 * x);
  },
  head: (x, t) => 0.5 + 0.3 * Math.sin(x + 0.003 * t),
};

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? NaN))), 0);
}
