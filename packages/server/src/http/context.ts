import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import type { Settings } from '../config/settings.js';
import type { ErrorForm } from './description.js';
import type { ThreadPool } from '../threads/pool.js';
import type { IdempotencyKeys } from './idempotency.js';
import type { JobWorker } from '../jobs/queue/bullmq-worker.js';
import type { JobStore } from '../jobs/store.js';
import type { Limits } from '../config/limits.js';
import type { Liveness } from '../observe/liveness.js';
import type { Metrics } from '../observe/metrics.js';
import { failureOf, type Failure, type Problem } from '../base/problem.js';
import type { Registry } from '../models/registry.js';
import type { Client, Scope } from '../base/client.js';
import type { TraceContext, Tracing } from '../observe/tracing.js';

/** An answer that is complete. */
export interface WholeAnswer {
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** Fields for the line of the log. */
  readonly noted: Readonly<Record<string, unknown>>;
}

/** The state of a server. */
export interface State {
  /** True once new work is refused. */
  isDraining: boolean;
  /** The number of requests whose answers have not been sent. */
  open: number;
}

/** The parts of a server that its routes share. */
export interface Context {
  readonly settings: Settings;
  readonly limits: Limits;
  readonly registry: Registry;
  readonly liveness: Liveness;
  readonly metrics: Metrics;
  readonly pool: ThreadPool;
  readonly tracing: Tracing;
  /** The idempotency keys of requests for samples. */
  readonly keys: IdempotencyKeys<WholeAnswer>;
  readonly state: State;
  /** The store of jobs; undefined where the server takes no jobs. */
  jobs?: JobStore | undefined;
  /** The part of a worker that draws chunks; undefined for a server. */
  worker?: JobWorker | undefined;
  readonly log: FastifyBaseLogger;
}

/** Adds routes to a server. */
export type Routes = (app: FastifyInstance, context: Context) => void;

declare module 'fastify' {
  interface FastifyRequest {
    /** The client that sent the request. */
    client: Client;
    /** Fields that the line of the log has beside the usual ones. */
    noted: Record<string, unknown>;
    /** The place of the request in a trace; undefined without OpenTelemetry. */
    trace: TraceContext | undefined;
  }
  interface FastifyContextConfig {
    /** The scope that a token needs; absent where the route takes no token. */
    scope?: Scope;
    /** True for work, which is refused while the server drains. */
    isWork?: boolean;
    /** The form of errors; absent for problems (RFC 9457). */
    errorForm?: ErrorForm;
    /** The statuses of errors that only this route has, for the description. */
    fails?: readonly number[];
  }
}

/** Adds fields to the log's line for a request. */
export function note(request: FastifyRequest, fields: Record<string, unknown>): void {
  Object.assign(request.noted, fields);
}

/**
 * Calls back once, when an answer has been sent or its connection has ended. It does so for requests that wait behind others on one
 * connection, too, for which Node emits nothing.
 *
 * @param call - Gets whether the whole answer was sent. (Node emits 'finish' for answers on destroyed connections, too.)
 */
export function onAnswered(request: FastifyRequest, reply: FastifyReply, call: (isSent: boolean) => void): void {
  const { socket } = request.raw;
  let isSent = false;
  let isDone = false;
  const end = (): void => {
    socket.off('close', end);
    if (isDone) return;
    isDone = true;
    call(isSent);
  };
  reply.raw.once('finish', () => {
    isSent = !socket.destroyed;
  });
  reply.raw.once('close', end);
  socket.once('close', end);
}

/** Aborts when the client leaves before it has its answer. (Fastify's own signal does not once the body has been read.) */
export function untilLeft(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const left = new AbortController();
  if (request.raw.socket.destroyed) left.abort('the client has left');
  onAnswered(request, reply, (isSent) => {
    if (!isSent) left.abort('the client has left');
  });
  return left.signal;
}

/** Makes the answer to an error, and notes the error for the log. */
export function notedFailure(error: unknown, request: FastifyRequest): Failure {
  const failure = failureOf(error, request.id);
  const { status, code } = failure.problem;
  if (status === 500) request.log.error({ err: error }, 'a request failed');
  note(request, { code });
  return failure;
}

/** Makes a handler that answers errors in the form of an API. */
export function errorHandler(
  worded: (problem: Problem) => object,
  type = 'application/json',
): (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    const { problem, headers } = notedFailure(error, request);
    void reply
      .status(problem.status)
      .headers(headers)
      .type(type)
      .send(JSON.stringify(worded(problem)));
  };
}
