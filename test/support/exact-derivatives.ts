import type { DeviceTensor } from '../../lib/engine/device.js';
import type { HostProgram } from '../../lib/program/program.js';
import type { Device } from '../../lib/engine/device.js';
import type { Evaluator } from '../../lib/run/evaluator.js';
import { runHostProgram } from '../../lib/run/host-run.js';

/** A network of one sample, and its derivative: J v, or J^T v. */
export type Differentiable = (
  x: number[],
  time: number,
  v: number[],
  transposed: boolean,
) => { out: number[]; along: number[] };

/** Requests to an evaluator, one per call. */
export interface Calls {
  evaluate: number;
  pushForward: number;
  pullBack: number;
}

/** An evaluator that computes in float64, sample by sample, and counts. */
export function exactEvaluator(network: Differentiable): Evaluator & { calls: Calls } {
  const calls: Calls = { evaluate: 0, pushForward: 0, pullBack: 0 };
  const differentiate = async (
    transposed: boolean,
    [input, times, direction, output, derivative]: Parameters<Exclude<Evaluator['pushForward'], undefined>>,
  ): Promise<void> => {
    const [x, v] = [await input.read(), await direction.read()];
    const d = x.length / times.length;
    const part = (values: Float32Array, n: number): number[] => [...values.subarray(n * d, (n + 1) * d)];
    const all = Array.from(times, (time, n) => network(part(x, n), time, part(v, n), transposed));
    await output.write(Float32Array.from(all.flatMap(({ out }) => out)));
    await derivative.write(Float32Array.from(all.flatMap(({ along }) => along)));
  };
  return {
    calls,
    async evaluate(input: DeviceTensor, times: Float32Array, output: DeviceTensor) {
      ++calls.evaluate;
      const x = await input.read();
      const d = x.length / times.length;
      const all = Array.from(times, (time, n) => {
        const state = [...x.subarray(n * d, (n + 1) * d)];
        return network(state, time, state, false).out;
      });
      await output.write(Float32Array.from(all.flat()));
    },
    async pushForward(...request) {
      ++calls.pushForward;
      await differentiate(false, request);
    },
    async pullBack(...request) {
      ++calls.pullBack;
      await differentiate(true, request);
    },
  };
}

/** Runs a host program from states [batch][elements] with a network in float64; `noise` are the draws, [draw][batch][elements]. */
export async function runExact(
  device: Device,
  program: HostProgram,
  network: Differentiable | Evaluator,
  { states, noise, seed = 0 }: { states: number[][]; noise?: readonly number[][][]; seed?: number },
): Promise<number[][]> {
  const d = states[0]!.length;
  const x = device.tensor([states.length, d]);
  let draw = 0;
  await runHostProgram(program, x, {
    owner: device,
    evaluator: typeof network === 'function' ? exactEvaluator(network) : network,
    init: Float32Array.from(states.flat()),
    seed,
    firstSample: 0,
    noise: noise === undefined ? null : { next: () => Float32Array.from(noise[draw++]!.flat()) },
    signal: undefined,
    onProgress: undefined,
  });
  const values = await x.read();
  x.free();
  return states.map((_, n) => [...values.subarray(n * d, (n + 1) * d)]);
}
