import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry as Register } from 'prom-client';

import type { Registry } from '../models/registry.js';
import { rowsPerSecondNow } from '../models/served.js';

/**
 * The monitors' resolution in milliseconds, which they also report for an idle event loop. Each wakes the process that often, so that with
 * one of a millisecond an idle server would never sleep; shorter delays are found as often as one of these moments falls into them.
 */
const RESOLUTION = 100;
/** Milliseconds over which delays of the event loop are measured. */
const WINDOW = 10_000;

const secondsBuckets = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];

/** The ways in which a request can end. */
export type Outcome = 'done' | 'refused' | 'late' | 'cancelled' | 'failed';

/** The figures of all jobs. */
export interface JobFigures {
  /** The number of jobs in each state. */
  readonly jobs: ReadonlyMap<string, number>;
  /** The rows of network evaluations that jobs wait for, by queue. */
  readonly rowsLeft: ReadonlyMap<string, number>;
  /** The seconds that they take here, by those queues that a model here draws for. */
  readonly backlogSeconds: ReadonlyMap<string, number>;
}

/** Quantiles of the event loop's delay over the last whole window. */
class EventLoop {
  readonly #monitor: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION });
  readonly #timer: NodeJS.Timeout;
  #last = new Map<number, number>();

  constructor(quantiles: readonly number[]) {
    this.#monitor.enable();
    this.#timer = setInterval(() => {
      this.#last = this.#read(quantiles);
      this.#monitor.reset();
    }, WINDOW);
    this.#timer.unref();
  }

  #read(quantiles: readonly number[]): Map<number, number> {
    const delay = (quantile: number): number =>
      this.#monitor.count === 0 ? 0 : this.#monitor.percentile(100 * quantile) / 1e9 - RESOLUTION / 1e3;
    return new Map(quantiles.map((quantile) => [quantile, Math.max(0, delay(quantile))]));
  }

  /** Seconds by quantile: for the last whole window, or for the first one so far. */
  delays(quantiles: readonly number[]): Map<number, number> {
    return this.#last.size > 0 ? this.#last : this.#read(quantiles);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#monitor.disable();
  }
}

/** The metrics of a server. Their labels are names that the server knows, never texts of a client. */
export class Metrics {
  readonly register = new Register();
  readonly requests: Counter<'route' | 'method' | 'status'>;
  readonly durations: Histogram<'route' | 'method' | 'status'>;
  readonly outcomes: Counter<'model' | 'outcome'>;
  readonly refused: Counter<'model' | 'reason'>;
  readonly samples: Counter<'model' | 'sampler'>;
  readonly evaluations: Counter<'model'>;
  readonly queueSeconds: Histogram<'model'>;
  readonly runSeconds: Histogram<'model'>;
  readonly streams: Gauge;
  readonly chunks: Counter<'outcome'>;
  readonly chunkSeconds: Histogram;
  readonly #loop: EventLoop;

  constructor(registry: Registry) {
    const registers = [this.register];
    collectDefaultMetrics({ register: this.register, eventLoopMonitoringPrecision: RESOLUTION });
    const http = { labelNames: ['route', 'method', 'status'] as const, registers };
    this.requests = new Counter({ name: 'dpm_http_requests_total', help: 'Requests that were answered', ...http });
    this.durations = new Histogram({
      name: 'dpm_http_request_duration_seconds',
      help: 'Until the answer was sent',
      buckets: secondsBuckets,
      ...http,
    });
    const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
      new Counter({ name, help, labelNames: [...labelNames], registers });
    this.outcomes = counter('dpm_requests_total', 'Requests for samples, by how they ended', ['model', 'outcome']);
    this.refused = counter('dpm_refused_total', 'Requests that were refused', ['model', 'reason']);
    this.samples = counter('dpm_samples_total', 'Samples that were drawn', ['model', 'sampler']);
    this.evaluations = counter('dpm_sample_evaluations_total', 'Network evaluations, for each sample', ['model']);
    const seconds = (name: string, help: string): Histogram<'model'> =>
      new Histogram({ name, help, labelNames: ['model'], buckets: secondsBuckets, registers });
    this.queueSeconds = seconds('dpm_queue_seconds', 'Until the first sample of a request ran');
    this.runSeconds = seconds('dpm_run_seconds', 'From then on');
    this.streams = new Gauge({ name: 'dpm_streams_open', help: 'Event streams that are being read', registers });
    this.chunks = counter('dpm_chunks_total', 'Chunks of jobs, each time that one was drawn', ['outcome']);
    this.chunkSeconds = new Histogram({
      name: 'dpm_chunk_seconds',
      help: 'Time that drawing a chunk took',
      buckets: secondsBuckets,
      registers,
    });
    this.#readModels(registry);
    const quantiles = [0.5, 0.99, 1];
    const loop = new EventLoop(quantiles);
    this.#loop = loop;
    new Gauge({
      name: 'dpm_event_loop_delay_seconds',
      help: 'Delays of the event loop in the last ten seconds',
      labelNames: ['quantile'],
      registers,
      collect() {
        for (const [quantile, delay] of loop.delays(quantiles)) this.set({ quantile: String(quantile) }, delay);
      },
    });
  }

  close(): void {
    this.#loop.close();
  }

  /** Adds gauges for jobs, whose figures are read whenever metrics are asked for. */
  readJobs(read: () => Promise<JobFigures>): void {
    // The gauges share one reading.
    let figures: Promise<JobFigures | null> | undefined;
    const figuresNow = (): Promise<JobFigures | null> => {
      figures ??= read()
        .catch(() => null)
        .finally(() => (figures = undefined));
      return figures;
    };
    const gauge = (name: string, help: string, [label, field]: [label: string, field: keyof JobFigures]): void => {
      new Gauge({
        name,
        help,
        labelNames: [label],
        registers: [this.register],
        async collect() {
          this.reset();
          for (const [value, figure] of (await figuresNow())?.[field] ?? []) this.set({ [label]: value }, figure);
        },
      });
    };
    gauge('dpm_jobs', 'Jobs that are known', ['state', 'jobs']);
    gauge('dpm_jobs_rows_left', 'Rows of network evaluations that jobs wait for', ['queue', 'rowsLeft']);
    gauge('dpm_jobs_backlog_seconds', 'Work that jobs wait for, over the capacity of one worker: scale on this', [
      'queue',
      'backlogSeconds',
    ]);
  }

  /** Adds the counts that batchers keep, which are read whenever metrics are asked for. */
  #readModels(registry: Registry): void {
    type Read = (model: Registry['models'][number]) => number;
    const options = (name: string, help: string) => ({
      name,
      help,
      labelNames: ['model' as const],
      registers: [this.register],
    });
    const tell = (metric: Gauge<'model'> | Counter<'model'>, read: Read): void => {
      // The reset forgets models that were removed.
      metric.reset();
      for (const model of registry.models) metric.inc({ model: model.id }, read(model));
    };
    const gauge = (name: string, help: string, read: Read): void => {
      new Gauge({
        ...options(name, help),
        collect() {
          tell(this, read);
        },
      });
    };
    const counter = (name: string, help: string, read: Read): void => {
      new Counter({
        ...options(name, help),
        collect() {
          tell(this, read);
        },
      });
    };
    counter('dpm_rows_total', 'Rows that the network saw', ({ batcher }) => batcher.stats().rows);
    counter(
      'dpm_padded_rows_total',
      'Rows that were computed beside them',
      ({ batcher }) => batcher.stats().paddedRows,
    );
    counter(
      'dpm_evaluations_total',
      'Network evaluations, of all rows of a step at once',
      ({ batcher }) => batcher.stats().steps,
    );
    counter('dpm_step_seconds_total', 'Seconds of all steps', ({ batcher }) => batcher.stats().seconds);
    gauge('dpm_requests_unfinished', 'Requests that run or wait', ({ batcher }) => batcher.stats().unfinished);
    gauge('dpm_samples_resident', 'Samples that have a slot', ({ batcher }) => batcher.stats().resident);
    gauge('dpm_samples_waiting', 'Samples that have none yet', ({ batcher }) => batcher.stats().waiting);
    gauge(
      'dpm_backlog_seconds',
      'Accepted work over capacity: scale on this',
      ({ batcher }) => batcher.stats().backlog / 1e3,
    );
    gauge('dpm_capacity_rows_per_second', 'Rows of full steps, as fast as they are now', rowsPerSecondNow);
    gauge('dpm_slowdown', 'Time of steps now over that measured at loading', ({ batcher }) => batcher.stats().slowdown);
    gauge('dpm_model_bytes', 'Bytes that the batch has allocated', ({ batcher }) => batcher.memory);
  }
}
