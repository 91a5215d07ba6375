import type { IncomingHttpHeaders } from 'node:http';

import type * as OpenTelemetry from '@opentelemetry/api';

import { failureOf } from '../base/problem.js';

type Api = typeof OpenTelemetry;

/** Where in a trace something is done. */
export type TraceContext = OpenTelemetry.Context;

/** A context in W3C's format, as it goes with what waits outside of the process. Clients' baggage stays here. */
export type CarriedTrace = { traceparent?: string; tracestate?: string };

/** Something that has been done, with its times in milliseconds of `performance.now()`. */
export interface Span {
  readonly name: 'dpm.queue' | 'dpm.run' | 'dpm.encode';
  readonly from: number;
  readonly to: number;
  readonly attributes?: Readonly<Record<string, string | number>>;
  /** Why it failed. */
  readonly failed?: { error: unknown } | undefined;
}

/** Traces of requests by OpenTelemetry, where that is installed and the process has set it up. Else nothing is done. */
export class Tracing {
  readonly #api: Api | null;

  private constructor(api: Api | null) {
    this.#api = api;
  }

  /** @param load - Imports the API, which need not be there. */
  static async open(load: () => Promise<Api> = () => import('@opentelemetry/api')): Promise<Tracing> {
    try {
      return new Tracing(await load());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
      return new Tracing(null);
    }
  }

  /** Where a request belongs: below the span that is active, or below the one that its headers name. */
  contextOf(headers: IncomingHttpHeaders): TraceContext | undefined {
    if (this.#api === null) return undefined;
    const { context, propagation, trace } = this.#api;
    const active = context.active();
    return trace.getSpan(active) === undefined ? propagation.extract(active, headers) : active;
  }

  /** A context for later, and for other processes. */
  carried(context: TraceContext | undefined): CarriedTrace {
    const headers: CarriedTrace = {};
    if (context !== undefined) this.#api?.propagation.inject(context, headers);
    const { traceparent, tracestate } = headers;
    return { ...(traceparent !== undefined && { traceparent }), ...(tracestate !== undefined && { tracestate }) };
  }

  /** The context that {@link Tracing.carried} has made an object of. */
  restored(carried: Readonly<CarriedTrace>): TraceContext | undefined {
    return this.#api?.propagation.extract(this.#api.ROOT_CONTEXT, carried);
  }

  /** Tells of something that has been done. */
  record(parent: TraceContext | undefined, { name, from, to, attributes = {}, failed }: Span): void {
    if (this.#api === null) return;
    const { ROOT_CONTEXT, SpanStatusCode, trace } = this.#api;
    const startTime = performance.timeOrigin + from;
    const span = trace
      .getTracer('dpm-native-server')
      .startSpan(name, { startTime, attributes }, parent ?? ROOT_CONTEXT);
    if (failed !== undefined) {
      const { code } = failureOf(failed.error, '').problem;
      span.setStatus({ code: SpanStatusCode.ERROR });
      span.setAttribute('error.type', code);
    }
    span.end(performance.timeOrigin + to);
  }
}
