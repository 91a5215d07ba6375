import type { BatchEvent } from 'dpm-native';

import type { Sampling } from './sample-request.js';
import type { Span, TraceContext, Tracing } from '../observe/tracing.js';

/** The end of a request: its last event, or an error. */
type Ended = Extract<BatchEvent, { type: 'done' }> | { error: unknown };

/** Follows a request for samples, and records how long it waited and how long it ran. */
export class SamplingTrace {
  readonly #tracing: Tracing;
  readonly #parent: TraceContext | undefined;
  readonly #sampling: Sampling;
  readonly #began = performance.now();
  #ranFrom: number | undefined;
  #records = 0;

  constructor(tracing: Tracing, parent: TraceContext | undefined, sampling: Sampling) {
    this.#tracing = tracing;
    this.#parent = parent;
    this.#sampling = sampling;
  }

  /** Notes an event of the request. */
  see(event: BatchEvent): void {
    if (event.type !== 'progress') return;
    this.#ranFrom ??= performance.now();
    this.#records = event.total;
  }

  /** Records the spans of the request. */
  end(ended: Ended): void {
    const record = (span: Span): void => {
      this.#tracing.record(this.#parent, span);
    };
    const { served, sampler } = this.#sampling;
    const attributes = { 'dpm.model': served.id, 'dpm.sampler': sampler, 'dpm.records': this.#records };
    const from = this.#began;
    if (!('error' in ended)) {
      const ranFrom = from + ended.queued;
      record({ name: 'dpm.queue', from, to: ranFrom });
      const rows = { 'dpm.rows': ended.evaluations };
      record({ name: 'dpm.run', from: ranFrom, to: ranFrom + ended.ran, attributes: { ...attributes, ...rows } });
      return;
    }
    // Only the last event tells how long a request waited. Without it, the run began with the first progress.
    const to = performance.now();
    if (this.#ranFrom === undefined) {
      record({ name: 'dpm.queue', from, to, failed: ended });
      return;
    }
    record({ name: 'dpm.queue', from, to: this.#ranFrom });
    record({ name: 'dpm.run', from: this.#ranFrom, to, attributes, failed: ended });
  }
}
