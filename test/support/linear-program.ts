import type { StepProgram } from '../../lib/program/program.js';
import { interpret } from './interpreter.js';

/**
 * Variance of the result of a program with a network that is linear in the state and has no head: the sum of the squares
 * of what the result takes of the initial state and of each noise, all of unit variance but for the first.
 *
 * @param slope - What the network returns per unit of its input at a network time.
 */
export function resultVariance(
  program: StepProgram,
  slope: (networkTime: number) => number,
  initialVariance = program.initialScale ** 2,
): number {
  const sources = 1 + program.records.filter(({ variance }) => variance.kind !== 'none').length;
  const unit = (source: number): Float64Array =>
    Float64Array.from({ length: sources }, (_, i) => (i === source ? 1 : 0));
  const shares = interpret(program, { out: (x, time) => slope(time) * x }, unit(0), (drawn) => unit(drawn + 1));
  return shares.reduce((sum, share, i) => sum + share * share * (i === 0 ? initialVariance : 1), 0);
}
