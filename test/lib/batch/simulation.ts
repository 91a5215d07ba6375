// A batch without a network: requests come by a Poisson process, steps take what a curve says, keys and admission are those of the library.
import { Admission, type Admitted } from '../../../lib/batch/admission.js';
import { Pace } from '../../../lib/batch/pace.js';
import { bestRate, stepTime, type Curve } from '../../../lib/batch/calibrate.js';
import type { Priority, ServiceOrder } from '../../../lib/batch/options.js';

/** The MNIST network on a cpu, with what a step costs beside the evaluation. */
export const mnistCurve: Curve = [
  [1, 1.34],
  [4, 4.12],
  [16, 13.8],
].map(([rows = 0, ms = 0]) => ({ rows, ms: ms + 0.02 }));

export interface SimulatedRequest {
  arrival: number;
  steps: number;
  tenant: string;
  priority: Priority;
  /** Time of its end; absent: refused. */
  done?: number;
}

/** Mulberry32. */
function randomStream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Single samples that come at random. */
export function poisson(
  count: number,
  rate: number,
  lengths: readonly number[],
  tenant = '',
  seed = 1,
): SimulatedRequest[] {
  const random = randomStream(seed);
  let now = 0;
  return Array.from({ length: count }, () => {
    now += -Math.log(1 - random()) / rate;
    const steps = lengths[Math.floor(random() * lengths.length)] ?? 0;
    // The model draws whether a sample is guided, too.
    random();
    return { arrival: now, steps, tenant, priority: 'normal' as const };
  });
}

export interface Simulation {
  end: number;
  /** Rows done. */
  rows: number;
  refused: number;
  steps: number;
}

interface Waiting {
  request: SimulatedRequest;
  ticket: Admitted;
  key: number;
  index: number;
  left: number;
}

const rank: Record<Priority, number> = { high: 1, normal: 0, low: -1 };

/** Runs requests, ordered by arrival, in steps of at most `rows` rows. */
export function simulate(
  requests: readonly SimulatedRequest[],
  options: { rows: number; order?: ServiceOrder; stretch?: number; maxWait?: number; curve?: Curve },
): Simulation {
  const { rows, order = 'share', stretch = 1, maxWait = Infinity, curve = mnistCurve } = options;
  const limits = { maxWait, maxWork: Infinity, maxWaitingBytes: Infinity };
  const admission = new Admission({ order, stretch }, limits);
  const pace = new Pace(curve, rows);
  const result: Simulation = { end: 0, rows: 0, refused: 0, steps: 0 };
  const present: Waiting[] = [];
  const before = (a: Waiting, b: Waiting): number =>
    rank[b.request.priority] - rank[a.request.priority] || a.key - b.key || a.index - b.index;
  let now = 0;
  let next = 0;
  const take = (): void => {
    for (let request = requests[next]; request !== undefined && request.arrival <= now; request = requests[next]) {
      const { tenant, priority, steps } = request;
      const client = { tenant, priority, weight: 1, deadline: undefined };
      ++next;
      try {
        admission.requireRoom(client);
      } catch {
        ++result.refused;
        continue;
      }
      const ticket = admission.admit(client, { samples: [{ evaluations: steps, rows: 1 }], bytes: 0 }, pace);
      const waiting: Waiting = { request, ticket, key: ticket.keys[0] ?? 0, index: next, left: steps };
      const place = present.findIndex((other) => before(waiting, other) < 0);
      present.splice(place < 0 ? present.length : place, 0, waiting);
    }
  };
  for (;;) {
    take();
    if (present.length === 0) {
      const request = requests[next];
      if (request === undefined) break;
      now = request.arrival;
      continue;
    }
    const running = present.slice(0, rows);
    now += stepTime(curve, running.length);
    ++result.steps;
    result.rows += running.length;
    for (const each of running) {
      each.ticket.done = 1 - --each.left / each.request.steps;
      if (each.left > 0) continue;
      each.request.done = now;
      admission.finish(each.ticket);
      present.splice(present.indexOf(each), 1);
    }
  }
  return { ...result, end: now };
}

export const rateOf = (curve: Curve, rows: number): number => bestRate(curve.filter((point) => point.rows <= rows));

/** Milliseconds of the requests that were done. */
export function latencies(requests: readonly SimulatedRequest[]): number[] {
  return requests.flatMap(({ arrival, done }) => (done === undefined ? [] : [done - arrival]));
}
