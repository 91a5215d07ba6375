import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { isList, requireKind, type Kind } from '../base/option-kinds.js';
import type { Batcher, BatcherStats } from './batcher.js';
import { bothCounts } from './batches.js';
import type { BatcherCapacity } from './open-batches.js';
import type { BatcherOptions } from './options.js';

/** Interface of {@link Batcher} and {@link ReplicatedBatcher}. */
export type BatchService = Pick<Batcher, keyof Batcher>;

/** Model for a {@link ReplicatedBatcher}: a `DiffusionModel`. */
export interface BatchableModel {
  /** Shape [C, H, W] of one sample. */
  readonly sampleShape: readonly number[];
  /** Opens a batch of the model. */
  batcher(options?: BatcherOptions): Promise<Batcher>;
}

type Events = ReturnType<Batcher['stream']>;

/** Error codes of a batch that works no more: its card has failed, or its model was closed. */
const failures: ReadonlySet<string> = new Set(['ERR_DPM_DEVICE', 'ERR_DPM_CLOSED']);

const modelKind: Kind = {
  expected: 'a DiffusionModel',
  holds: (value) => {
    const { batcher, sampleShape } = Object(value) as Record<string, unknown>;
    return typeof batcher === 'function' && isList(sampleShape);
  },
};

function requireOneShape(models: readonly BatchableModel[]): void {
  models.forEach((model, i) => {
    requireKind(`models[${i}]`, model, modelKind);
  });
  if (models.length === 0) throw new DpmError('ERR_DPM_ARGUMENT', 'models is empty, it has to have one at least');
  const [expected, ...others] = models.map(({ sampleShape }) => sampleShape.join('x'));
  others.forEach((shape, i) => {
    if (shape === expected) return;
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `models[${i + 1}] has samples of ${shape}, models[0] of ${expected}: they have to be the same model`,
    );
  });
}

/**
 * Batches of the same model on several engines or cards. A request goes to the batch with the least work for its
 * capacity, and stays there. This choice changes no bits on a cpu, nor on cards of one kind with `sizes: 'one'`.
 */
export class ReplicatedBatcher implements BatchService {
  /** Batches of the replicas. A batch whose device has failed gets no more requests. */
  readonly batchers: readonly Batcher[];
  readonly #failed = new Set<Batcher>();
  /** Requests that each batch has been given. */
  readonly #running = new Map<Batcher, Set<object>>();

  private constructor(batchers: readonly Batcher[]) {
    this.batchers = batchers;
  }

  /** Opens a batch of every model. @internal */
  static async open(models: readonly BatchableModel[], options: BatcherOptions): Promise<ReplicatedBatcher> {
    requireOneShape(models);
    const opened = await Promise.allSettled(models.map((model) => model.batcher(options)));
    const batchers = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const refused = opened.find((each) => each.status === 'rejected');
    if (refused === undefined) return new ReplicatedBatcher(batchers);
    await Promise.all(batchers.map((batcher) => batcher.close()));
    // The reason may be an error that an option of the caller has thrown.
    throw refused.reason;
  }

  /** Works as {@link Batcher.sample}. */
  readonly sample: Batcher['sample'] = (request) => this.#on((batcher) => batcher.sample(request));

  /** Works as {@link Batcher.run}. */
  readonly run: Batcher['run'] = (program, options) => this.#on((batcher) => batcher.run(program, options));

  /** Works as {@link Batcher.forward}. */
  readonly forward: Batcher['forward'] = (x, t, options) => this.#on((batcher) => batcher.forward(x, t, options));

  /** Works as {@link Batcher.stream}. */
  readonly stream: Batcher['stream'] = (request) => {
    // Wrong options are an error of the call; a stream that is not read starts no request.
    void this.#least().stream(request);
    return this.#streamed(request);
  };

  /** Works as {@link Batcher.expectedWait}, for the batch that gets the next request. */
  readonly expectedWait: Batcher['expectedWait'] = (request) => this.#least().expectedWait(request);

  /** Works as {@link Batcher.requireRoom}, for the batch that gets the next request. */
  readonly requireRoom: Batcher['requireRoom'] = (request) => this.#least().requireRoom(request);

  /** Capacity of all batches together; the curve is that of the first batch. */
  get capacity(): BatcherCapacity {
    const sum = (of: (capacity: BatcherCapacity) => number): number =>
      this.batchers.reduce((total, { capacity }) => total + of(capacity), 0);
    return {
      rows: sum(({ rows }) => rows),
      slots: sum(({ slots }) => slots),
      rowsPerSecond: sum(({ rowsPerSecond }) => rowsPerSecond),
      curve: at(this.batchers, 0).capacity.curve,
    };
  }

  /** Number of bytes that all batches have allocated. */
  get memory(): number {
    return this.batchers.reduce((total, { memory }) => total + memory, 0);
  }

  /** Counts of all batches together; the backlog is the longest one, the slowdown the largest. */
  stats(): BatcherStats {
    return this.batchers.map((batcher) => batcher.stats()).reduce(together);
  }

  /** Drains all batches as {@link Batcher.drain} does. */
  async drain(): Promise<void> {
    await Promise.all(this.batchers.map((batcher) => batcher.drain()));
  }

  /** Closes all batches as {@link Batcher.close} does. The models stay open. */
  async close(): Promise<void> {
    await Promise.all(this.batchers.map((batcher) => batcher.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Chooses the batch with the least work, then the fewest requests, some of which may be on their way to it. */
  #least(): Batcher {
    const usable = this.batchers.filter((batcher) => !this.#failed.has(batcher));
    // Any batch reports the error if all have failed.
    const loads = (usable.length > 0 ? usable : this.batchers).map((batcher) => ({
      batcher,
      backlog: batcher.stats().backlog,
      running: this.#running.get(batcher)?.size ?? 0,
    }));
    return loads.reduce((best, each) =>
      each.backlog < best.backlog || (each.backlog === best.backlog && each.running < best.running) ? each : best,
    ).batcher;
  }

  /** Counts a request until the returned function is called, with the error of the request if it failed. */
  #enter(batcher: Batcher): (error?: unknown) => void {
    const running = this.#running.get(batcher) ?? new Set();
    const request = {};
    this.#running.set(batcher, running.add(request));
    return (error) => {
      running.delete(request);
      if (error instanceof DpmError && failures.has(error.code)) this.#failed.add(batcher);
    };
  }

  async #on<T>(work: (batcher: Batcher) => Promise<T>): Promise<T> {
    const batcher = this.#least();
    const leave = this.#enter(batcher);
    return work(batcher).then(
      (value) => {
        leave();
        return value;
      },
      (error: unknown) => {
        leave(error);
        throw error;
      },
    );
  }

  /** Yields the events of a request; the batch with the least work is chosen when the first event is asked for. */
  #streamed(request: Parameters<Batcher['stream']>[0]): Events {
    let begun: { events: Events; leave: (error?: unknown) => void } | undefined;
    const begin = () => {
      const batcher = this.#least();
      begun ??= { events: batcher.stream(request), leave: this.#enter(batcher) };
      return begun;
    };
    const told = async (ask: (events: Events) => ReturnType<Events['next']>): ReturnType<Events['next']> => {
      const { events, leave } = begin();
      try {
        const result = await ask(events);
        if (result.done === true) leave();
        return result;
      } catch (error) {
        leave(error);
        throw error;
      }
    };
    return {
      next: () => told((events) => events.next()),
      return: (value) => told((events) => events.return(value)),
      throw: (error) => told((events) => events.throw(error)),
      [Symbol.asyncIterator]() {
        return this;
      },
      async [Symbol.asyncDispose]() {
        await this.return();
      },
    };
  }
}

function together(a: BatcherStats, b: BatcherStats): BatcherStats {
  return {
    ...bothCounts(a, b),
    unfinished: a.unfinished + b.unfinished,
    refused: {
      wait: a.refused.wait + b.refused.wait,
      deadline: a.refused.deadline + b.refused.deadline,
      bytes: a.refused.bytes + b.refused.bytes,
    },
    backlog: Math.max(a.backlog, b.backlog),
    slowdown: Math.max(a.slowdown, b.slowdown),
  };
}
