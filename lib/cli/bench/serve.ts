import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { throwIfAborted } from '../../base/abort.js';
import { median, quantile } from '../../base/quantile.js';
import { DiffusionModel } from '../../model.js';
import type { Program } from '../../program/program.js';
import { samplers } from '../../samplers/index.js';
import type { Batcher } from '../../batch/batcher.js';
import { type Call } from '../command.js';
import { usageError } from '../usage-error.js';
import { loadOptions } from '../model-options.js';
import { printJson, printLine, printTable } from '../output.js';
import { meanRecords, poissonArrivals, type ArrivingRequest, type Workload } from './arrivals.js';
import { benchDefaults } from './settings.js';

/** Policies that turn requests into evaluations. */
const policies = ['request-level', 'step-level'] as const;
type Policy = (typeof policies)[number];

/** A request that is done: milliseconds from the time at which it was to come. */
interface Latency {
  readonly records: number;
  readonly milliseconds: number;
}

/** The start of a run, which does not count. */
const WARM_UP = 0.1;

/** Server of requests that counts the rows of the network. */
interface Server {
  serve(request: ArrivingRequest, index: number): Promise<unknown>;
  rows(): number;
}

/** Chooses the sampler: the plain chain for long requests. */
function samplerOf(records: number, { longest }: Workload): 'ddpm' | 'ddim' {
  return records === longest ? 'ddpm' : 'ddim';
}

function programsByLength({ schedule }: DiffusionModel, workload: Workload): ReadonlyMap<number, Program> {
  const lengths = [...workload.lengths, workload.longest];
  return new Map(lengths.map((steps) => [steps, samplers[samplerOf(steps, workload)](schedule, { steps })]));
}

function programOf(programs: ReadonlyMap<number, Program>, records: number): Program {
  const program = programs.get(records);
  if (program === undefined) throw usageError(`there is no program of ${records} records`);
  return program;
}

/** Server by `model.run` with one program per request, begun when the last run has ended. */
class RequestLevel implements Server {
  readonly #waiting: { records: number; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #running = false;
  #rows = 0;

  constructor(
    private readonly model: DiffusionModel,
    private readonly programs: ReadonlyMap<number, Program>,
    private readonly most: number,
  ) {}

  rows(): number {
    return this.#rows;
  }

  serve({ records }: ArrivingRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records, resolve, reject });
      if (!this.#running) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.most);
      const before = this.#rows;
      try {
        await this.model.run(
          batch.map(({ records }) => programOf(this.programs, records)),
          {
            batch: this.most,
            onProgress: (done) => {
              this.#rows = before + done;
            },
          },
        );
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = false;
  }
}

/** A batcher. */
class StepLevel implements Server {
  constructor(
    private readonly batcher: Batcher,
    private readonly workload: Workload,
  ) {}

  rows(): number {
    return this.batcher.stats().rows;
  }

  serve({ records }: ArrivingRequest, index: number): Promise<unknown> {
    return this.batcher.sample({ sampler: samplerOf(records, this.workload), steps: records, first: index });
  }
}

interface Run {
  policy: Policy;
  latencies: Latency[];
  /** Ratio of the rows computed while requests came to the rows that came. */
  goodput: number;
  /** Delay of the event loop in milliseconds. */
  loopDelay: { p50: number; p99: number; most: number };
}

/** Sends the requests at their times, even if earlier ones wait, and waits for all. */
async function drive(
  policy: Policy,
  server: Server,
  arrivals: readonly ArrivingRequest[],
  signal: AbortSignal,
): Promise<Run> {
  const first = Math.floor(WARM_UP * arrivals.length);
  const counted = arrivals.slice(first);
  const latencies: Latency[] = [];
  const loop = monitorEventLoopDelay({ resolution: 1 });
  const start = performance.now();
  let rowsBefore = 0;
  const served: Promise<void>[] = [];
  for (const [index, request] of arrivals.entries()) {
    await sleep(Math.max(0, start + request.at - performance.now()));
    throwIfAborted(signal);
    if (index === first) {
      rowsBefore = server.rows();
      loop.enable();
    }
    const answer = server.serve(request, index).then(() => {
      if (index < first) return;
      latencies.push({ records: request.records, milliseconds: performance.now() - start - request.at });
    });
    // Failures are reported below; until then each needs a handler.
    answer.catch(() => undefined);
    served.push(answer);
  }
  const rows = server.rows() - rowsBefore;
  loop.disable();
  await Promise.all(served);
  const offered = counted.reduce((sum, { records }) => sum + records, 0);
  // An idle loop reads the resolution.
  const delay = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - 1);
  const loopDelay = { p50: delay(loop.percentile(50)), p99: delay(loop.percentile(99)), most: delay(loop.max) };
  return { policy, latencies, goodput: rows / offered, loopDelay };
}

/** Measures the rows per second of a batch that always has more samples than a step takes. */
async function saturatedRate(batcher: Batcher): Promise<number> {
  const steps = 20;
  const count = 4 * batcher.capacity.rows;
  const rates: number[] = [];
  for (let round = 0; round < 5; ++round) {
    const start = performance.now();
    await batcher.sample({ sampler: 'ddim', steps, count });
    rates.push((1000 * steps * count) / (performance.now() - start));
  }
  return median(rates);
}

/** Summarises the runs of one policy, in milliseconds. */
function summary(policy: Policy, runs: readonly Run[], shortest: number) {
  const own = runs.filter((run) => run.policy === policy);
  const latencies = own.flatMap((run) => run.latencies);
  const all = latencies.map(({ milliseconds }) => milliseconds);
  const short = latencies.filter(({ records }) => records === shortest).map(({ milliseconds }) => milliseconds);
  const perRecord = latencies.map(({ milliseconds, records }) => milliseconds / records);
  const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
  return {
    policy,
    requests: all.length,
    mean: mean(all),
    p50: quantile(all, 0.5),
    p99: quantile(all, 0.99),
    shortP99: quantile(short, 0.99),
    perRecordP99: quantile(perRecord, 0.99),
    goodput: mean(own.map((run) => run.goodput)),
    loopDelayP99: Math.max(...own.map((run) => run.loopDelay.p99)),
  };
}

type Summary = ReturnType<typeof summary>;

function formatRow(row: Summary): string[] {
  const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
  return [
    row.policy,
    String(row.requests),
    number(row.mean),
    number(row.p50),
    number(row.p99),
    number(row.shortP99),
    number(row.perRecordP99),
    `${(100 * row.goodput).toFixed(1)} %`,
    row.loopDelayP99.toFixed(2),
  ];
}

/** Reads the options before anything is loaded. */
function settingsOf({ options }: Call): { load: number; rounds: number; workload: Omit<Workload, 'rate'> } {
  const load = options.number('load') ?? benchDefaults.load;
  const seconds = options.number('seconds') ?? benchDefaults.seconds;
  const rounds = options.integer('rounds') ?? benchDefaults.rounds;
  const lengths = options.numbers('steps') ?? benchDefaults.lengths;
  const longShare = options.number('long') ?? benchDefaults.longShare;
  if (!(load > 0)) throw usageError('--load has to be above 0');
  if (!(seconds > 0 && seconds <= 3600)) throw usageError('--seconds has to be above 0 and at most 3600');
  if (rounds < 1 || rounds > 100) throw usageError('--rounds has to be from 1 to 100');
  if (!(longShare >= 0 && longShare <= 1)) throw usageError('--long has to be a share from 0 to 1');
  if (!lengths.every((steps) => Number.isInteger(steps) && steps > 0)) {
    throw usageError('--steps has to be positive integers separated by commas');
  }
  return { load, rounds, workload: { milliseconds: 1000 * seconds, lengths, longShare, longest: 1000 } };
}

/** Serves requests that come at any time, step by step against a run at a time, in one process. */
export async function benchServe(call: Call): Promise<void> {
  const { load, rounds, workload: asked } = settingsOf(call);
  const name = call.options.string('network') ?? benchDefaults.served;
  const model = await DiffusionModel.load(name, loadOptions(call.options));
  try {
    const rows = call.options.integer('rows');
    const batcher = await model.batcher({ ...(rows !== undefined && { rows }), maxWait: Infinity, maxWork: Infinity });
    const { capacity } = batcher;
    const rowsPerSecond = await saturatedRate(batcher);
    const workload = { ...asked, rate: (load * rowsPerSecond) / 1000 };
    const programs = programsByLength(model, workload);
    const shortest = Math.min(...workload.lengths);
    const runs: Run[] = [];
    for (let round = 0; round < rounds; ++round) {
      const arrivals = poissonArrivals(workload, round);
      runs.push(await drive('request-level', new RequestLevel(model, programs, capacity.rows), arrivals, call.signal));
      runs.push(await drive('step-level', new StepLevel(batcher, workload), arrivals, call.signal));
    }
    const [before, after] = policies.map((policy) => summary(policy, runs, shortest));
    if (before === undefined || after === undefined) return;
    const ratios = {
      mean: after.mean / before.mean,
      p99: after.p99 / before.p99,
      shortP99: after.shortP99 / before.shortP99,
    };
    const { device } = model;
    if (call.json) {
      printJson({
        benchmark: 'serve',
        model: name,
        device: device.name,
        threads: device.threads,
        load,
        capacity,
        rowsPerSecond,
        workload,
        policies: [before, after],
        ratios,
      });
      return;
    }
    printLine(
      `${device.name}: ${device.description}; ${device.threads} threads; ${capacity.rows} rows, ${rowsPerSecond.toFixed(0)} rows/s`,
    );
    printLine(
      `load ${load}, ${meanRecords(workload).toFixed(0)} records a request on average, ${rounds} rounds of ${workload.milliseconds / 1000} s each`,
    );
    printTable([
      ['policy', 'requests', 'mean ms', 'p50', 'p99', `p99 of ${shortest}`, 'p99 ms/record', 'goodput', 'loop p99 ms'],
      ...[before, after].map(formatRow),
    ]);
    printLine(
      `step-level over request-level: mean ${ratios.mean.toFixed(2)}, p99 ${ratios.p99.toFixed(2)}, p99 of ${shortest} records ${ratios.shortP99.toFixed(3)}`,
    );
  } finally {
    await model.close();
  }
}
