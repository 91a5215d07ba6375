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
  /** For the log. */
  readonly noted: Readonly<Record<string, unknown>>;
}

/** How far a server is. */
export interface State {
  /** Whether new work is refused. */
  isDraining: boolean;
  /** Requests whose answers have not been sent. */
  open: number;
}

/** What the routes of a server have in common. */
export interface Context {
  readonly settings: Settings;
  readonly limits: Limits;
  readonly registry: Registry;
  readonly liveness: Liveness;
  readonly metrics: Metrics;
  readonly pool: ThreadPool;
  readonly tracing: Tracing;
  /** Of requests for samples. */
  readonly keys: IdempotencyKeys<WholeAnswer>;
  readonly state: State;
  /** Undefined: this server takes none. */
  jobs?: JobStore | undefined;
  /** Of a worker. */
  worker?: JobWorker | undefined;
  readonly log: FastifyBaseLogger;
}

/** Adds routes to a server. */
export type Routes = (app: FastifyInstance, context: Context) => void;

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks. */
    client: Client;
    /** What a line of the log has beside the usual. */
    noted: Record<string, unknown>;
    /** Undefined without OpenTelemetry. */
    trace: TraceContext | undefined;
  }
  interface FastifyContextConfig {
    /** What a token has to allow; absent: everybody may. */
    scope?: Scope;
    /** Whether it is work that is refused while the server drains. */
    isWork?: boolean;
    /** Whose words its errors are told in; absent: ours. */
    errorForm?: ErrorForm;
    /** Status of errors that it has beside those of every route of its kind, for the description. */
    fails?: readonly number[];
  }
}

/** Adds to the line that the log will have of a request. */
export function note(request: FastifyRequest, fields: Record<string, unknown>): void {
  Object.assign(request.noted, fields);
}

/**
 * Calls back once, when an answer has been sent or its connection has ended: of requests that wait behind others on one connection, too, of
 * whose answers Node tells nothing.
 *
 * @param call - Is told whether all of it has been sent. (Node says so, too, of what is given up with a connection that is destroyed.)
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

/** Aborts when the client leaves before it has its answer. (Fastify's own signal does not, once the body has been read.) */
export function untilLeft(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const left = new AbortController();
  if (request.raw.socket.destroyed) left.abort();
  onAnswered(request, reply, (isSent) => {
    if (!isSent) left.abort();
  });
  return left.signal;
}

/** What an error is answered with, noted for the log. */
export function notedFailure(error: unknown, request: FastifyRequest): Failure {
  const failure = failureOf(error, request.id);
  const { status, code } = failure.problem;
  if (status === 500) request.log.error({ err: error }, 'a request failed');
  note(request, { code });
  return failure;
}

/** Answers errors in the words of an API. */
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
