import type { IncomingHttpHeaders } from 'node:http';

import type * as OpenTelemetry from '@opentelemetry/api';

import { failureOf } from '../base/problem.js';

type Api = typeof OpenTelemetry;

/** A place in a trace. */
export type TraceContext = OpenTelemetry.Context;

/** A context in W3C's format, for work that waits outside of the process. It does not have the client's baggage. */
export type CarriedTrace = { traceparent?: string; tracestate?: string };

/** Work that has been done, with its times in milliseconds of `performance.now()`. */
export interface Span {
  readonly name: 'dpm.queue' | 'dpm.run' | 'dpm.encode';
  readonly from: number;
  readonly to: number;
  readonly attributes?: Readonly<Record<string, string | number>>;
  /** The error that it failed with. */
  readonly failed?: { error: unknown } | undefined;
}

/** Traces of requests by OpenTelemetry. Without it, or where the process has not set it up, nothing is traced. */
export class Tracing {
  readonly #api: Api | null;

  private constructor(api: Api | null) {
    this.#api = api;
  }

  /** @param load - Imports the API, which may be missing. */
  static async open(load: () => Promise<Api> = () => import('@opentelemetry/api')): Promise<Tracing> {
    try {
      return new Tracing(await load());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
      return new Tracing(null);
    }
  }

  /** The context of a request: the active span, or the one that its headers name. */
  contextOf(headers: IncomingHttpHeaders): TraceContext | undefined {
    if (this.#api === null) return undefined;
    const { context, propagation, trace } = this.#api;
    const active = context.active();
    return trace.getSpan(active) === undefined ? propagation.extract(active, headers) : active;
  }

  /** Writes a context as an object that can be stored or sent. */
  carried(context: TraceContext | undefined): CarriedTrace {
    const headers: CarriedTrace = {};
    if (context !== undefined) this.#api?.propagation.inject(context, headers);
    const { traceparent, tracestate } = headers;
    return { ...(traceparent !== undefined && { traceparent }), ...(tracestate !== undefined && { tracestate }) };
  }

  /** Reads a context back from the object that {@link Tracing.carried} made. */
  restored(carried: Readonly<CarriedTrace>): TraceContext | undefined {
    return this.#api?.propagation.extract(this.#api.ROOT_CONTEXT, carried);
  }

  /** Records a span of work that has been done. */
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
