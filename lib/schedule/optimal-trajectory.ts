import { at } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireMemory } from '../base/memory-budget.js';
import { integerFrom, kinds, requireKind } from '../base/option-kinds.js';
import { roundHalfEven } from './spacing.js';

/** Costs of a sampler's jumps; an optimal trajectory has the least total. */
export interface JumpCosts {
  /** Cost of the jump from time t to the cleaner s, s < t <= N; infinite for a jump that must not be made. */
  cost(s: number, t: number): number;
  /** First node of a path: 0 if the jump into the data has a cost, 1 if every path starts at n = 1. */
  first: 0 | 1;
  /** Maximum time whose costs can be trusted. Default N. Later times are spread evenly (Bao et al. 2022, appendix). */
  trusted?: number;
}

/** Costs of all jumps between first..last, row t, column s. */
function costMatrix(costs: JumpCosts, last: number): Float64Array {
  const size = last + 1;
  const matrix = new Float64Array(size * size).fill(Infinity);
  for (let t = costs.first + 1; t <= last; ++t) {
    for (let s = costs.first; s < t; ++s) matrix[t * size + s] = costs.cost(s, t);
  }
  return matrix;
}

/**
 * Adds one node: finds the cheapest way to every t over the ways to all s < t, and the s it comes from.
 *
 * @param least - First s to which there is a way.
 */
function extend(cost: Float64Array, matrix: Float64Array, least: number): { cost: Float64Array; from: Int32Array } {
  const size = cost.length;
  const next = new Float64Array(size).fill(Infinity);
  const from = new Int32Array(size).fill(-1);
  for (let t = least + 1; t < size; ++t) {
    let best = Infinity;
    let origin = -1;
    // This runs K N^2 / 2 times, so it reads without the checks of `at`.
    for (let s = least, place = t * size + least; s < t; ++s, ++place) {
      const total = (cost[s] ?? Infinity) + (matrix[place] ?? Infinity);
      // The first minimiser wins, so that equal costs give the same path everywhere.
      if (total < best) {
        best = total;
        origin = s;
      }
    }
    next[t] = best;
    from[t] = origin;
  }
  return { cost: next, from };
}

/** Finds the cheapest path of `nodes` times from `costs.first` to `last`, both included. */
function cheapestPath(costs: JumpCosts, nodes: number, last: number): number[] {
  const matrix = costMatrix(costs, last);
  let cost: Float64Array = new Float64Array(last + 1).fill(Infinity);
  cost[costs.first] = 0;
  const predecessors: Int32Array[] = [];
  for (let k = 2; k <= nodes; ++k) {
    // With k - 1 nodes no way is shorter than that.
    const step = extend(cost, matrix, costs.first + k - 2);
    cost = step.cost;
    predecessors.push(step.from);
  }
  if (!Number.isFinite(at(cost, last))) {
    throw new DpmError('ERR_DPM_ARGUMENT', `no trajectory of ${nodes} times that ends at ${last} has a finite cost`);
  }
  const path = [last];
  for (const from of predecessors.reverse()) path.unshift(at(from, at(path, 0)));
  return path;
}

/** Counts how many of `count` nodes lie where costs can be trusted, and how many in the `bad` times after. */
function shares(count: number, last: number, bad: number): { trusted: number; rest: number } {
  const most = last - bad;
  // The last node, at least, is in the rest; as count is at most last, the rest has no more nodes than bad times.
  const trusted = Math.min(Math.ceil((1 - (0.8 * bad) / last) * count), most, count - 1);
  return { trusted, rest: count - trusted };
}

function requireCosts(costs: JumpCosts): void {
  requireKind('costs', costs, kinds.object);
  const { first, trusted } = costs;
  requireKind('costs.cost', Reflect.get(costs, 'cost'), kinds.function);
  requireKind('costs.first', first, { expected: '0 or 1', holds: (value) => value === 0 || value === 1 });
  if (trusted !== undefined) requireKind('costs.trusted', trusted, integerFrom(0));
}

/**
 * Finds the cheapest trajectory of `count` times 1 <= tau_1 < … < tau_K = `last` by dynamic programming in O(K N^2)
 * (Watson et al. 2021; with the costs of Analytic-DPM Bao et al. 2022, section 4).
 *
 * @returns Increasing times; the first is 1 if `costs.first` is.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if there are not that many times, or no path of finite cost.
 */
export function optimalTrajectory(costs: JumpCosts, count: number, last: number): number[] {
  requireCosts(costs);
  requireKind('last', last, kinds.positiveInteger);
  requireMemory(`last is ${last}`, (last + 1) ** 2, Float64Array.BYTES_PER_ELEMENT);
  if (!Number.isInteger(count) || count < 1 || count > last || (count === 1 && costs.first === 1 && last !== 1)) {
    throw wrongValue('count', count, `a number of times that a trajectory which ends at ${last} can have`);
  }
  if (costs.first === 0) return cheapestPath(costs, count + 1, last).slice(1);
  const bad = last - Math.min(costs.trusted ?? last, last);
  if (bad === 0) return cheapestPath(costs, count, last);
  const { trusted, rest } = shares(count, last, bad);
  const end = last - bad;
  const path = trusted <= 1 ? [costs.first].slice(0, trusted) : cheapestPath(costs, trusted, end);
  return [...path, ...Array.from({ length: rest }, (_, k) => roundHalfEven(last - ((rest - 1 - k) * bad) / rest))];
}
