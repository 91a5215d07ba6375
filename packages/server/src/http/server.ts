import { randomUUID } from 'node:crypto';

import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify';

import { authenticate, requireScope } from './auth.js';
import { anybody } from '../base/client.js';
import { endWhereStalled, refuseConnection, unansweredStatus } from './connections.js';
import { errorHandler, onAnswered, type Context, type Routes } from './context.js';
import { allowOrigins } from './cors.js';
import { describedRoute, describedServer, sharedSchemas } from './description.js';
import { failureOf, ServerError } from '../base/problem.js';
import { parsedJson } from '../base/json.js';
import { mismatchOf } from '../base/schema.js';
import { requireOwnNames } from './own-names.js';
import { queryValues } from './query.js';
import { requireStrictHeaders } from './strict-headers.js';
import type { Tokens } from './tokens.js';

const MEBIBYTE = 2 ** 20;
const MOST_URL = 8192;

/** The methods that each path has. */
class Paths {
  readonly #routes: { fits: RegExp; method: string }[] = [];

  add(url: string, methods: string | readonly string[]): void {
    const fits = new RegExp(`^${url.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(/:\w+/g, '[^/]+')}$`);
    for (const method of [methods].flat()) this.#routes.push({ fits, method });
  }

  methodsOf(url: string): string[] {
    const [path = ''] = url.split('?');
    return [...new Set(this.#routes.filter(({ fits }) => fits.test(path)).map(({ method }) => method))];
  }
}

function notFound(paths: Paths): (request: FastifyRequest) => never {
  return ({ method, url }) => {
    const allowed = paths.methodsOf(url);
    if (allowed.length === 0) throw new ServerError('ERR_DPM_NOT_FOUND', 'there is nothing at this path');
    const headers = { allow: allowed.join(', ') };
    throw new ServerError('ERR_DPM_METHOD', `${method} is not for this path`, { headers });
  };
}

/** Answers a request whose path cannot be read. Such a request has no route and passes no hooks. */
function refusePath(_error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const told = new ServerError('ERR_DPM_NOT_FOUND', 'there is nothing at this path');
  const { problem } = failureOf(told, request.id);
  void reply.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
}

function logLine(request: FastifyRequest, reply: FastifyReply, status: number): void {
  request.log.info({
    method: request.method,
    route: request.routeOptions.url,
    tenant: request.client.name,
    status,
    ms: Math.round(reply.elapsedTime),
    ...request.noted,
  });
}

async function addHooks(app: FastifyInstance, context: Context, tokens: Tokens | undefined): Promise<void> {
  const { settings } = context;
  const nobody = { ...anybody, requestsPerMinute: settings.requestsPerMinute, quota: settings };
  app.decorateRequest('client', null as never);
  app.decorateRequest('noted', null as never);
  app.decorateRequest('trace', undefined);
  app.addHook('onRequest', async (request, reply) => {
    request.noted = {};
    request.client = nobody;
    request.trace = context.tracing.contextOf(request.headers);
    endWhereStalled(reply);
    // Requests whose client leaves before the answer count, too.
    ++context.state.open;
    onAnswered(request, reply, (isSent) => {
      --context.state.open;
      const status = isSent ? reply.statusCode : unansweredStatus(request.raw.socket);
      const labels = { route: request.routeOptions.url ?? 'none', method: request.method, status: String(status) };
      context.metrics.requests.inc(labels);
      context.metrics.durations.observe(labels, reply.elapsedTime / 1e3);
      logLine(request, reply, status);
    });
  });
  app.addHook('onRequest', (request, _, done) => {
    requireStrictHeaders(request.raw.rawHeaders);
    if (request.url.length > MOST_URL)
      throw new ServerError('ERR_DPM_URI', `the URL is longer than ${MOST_URL} characters`);
    done();
  });
  if (tokens === undefined) {
    const requireOwn = requireOwnNames(context.settings);
    app.addHook('onRequest', (request, _, done) => {
      requireOwn(request);
      done();
    });
  }
  await allowOrigins(app, context.settings.cors);
  app.addHook('onRequest', async (request) => {
    if (tokens !== undefined) await authenticate(request, tokens);
    requireScope(request);
    if (request.routeOptions.config.isWork === true && context.state.isDraining) {
      throw new ServerError('ERR_DPM_DRAINING', 'the server is about to end', { headers: { 'retry-after': '1' } });
    }
  });
  app.addHook('onSend', async (_, reply) => {
    if (context.state.isDraining) void reply.header('connection', 'close');
  });
}

async function describeRoutes(app: FastifyInstance, hasTokens: boolean): Promise<void> {
  for (const schema of sharedSchemas) app.addSchema(schema);
  await app.register(swagger, {
    openapi: describedServer(hasTokens),
    transform: ({ schema, url, route }) => ({ schema: describedRoute(schema, route.config ?? {}, hasTokens), url }),
    refResolver: { buildLocalReference: ({ $id }) => $id as string },
  });
}

/** The policy of the explorer of the API, whose style sheets are partly in its script. */
const explorerPolicy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

/** The explorer of the API at `/docs`, which needs no token to load. */
async function addExplorer(app: FastifyInstance): Promise<void> {
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: explorerPolicy,
    uiConfig: { displayRequestDuration: true, tryItOutEnabled: true },
  });
}

/** Builds the app with its routes; it does not listen yet. */
export async function buildApp(
  context: Context,
  tokens: Tokens | undefined,
  routes: readonly Routes[],
): Promise<FastifyInstance> {
  const {
    settings: { trustProxy },
    limits,
  } = context;
  const app = Fastify({
    bodyLimit: MEBIBYTE,
    requestTimeout: limits.request,
    connectionTimeout: limits.stall,
    keepAliveTimeout: 72_000,
    maxRequestsPerSocket: 10_000,
    loggerInstance: context.log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'id' }),
    genReqId: () => randomUUID(),
    trustProxy: trustProxy.length > 0 ? trustProxy : false,
    forceCloseConnections: 'idle',
    clientErrorHandler: refuseConnection,
    frameworkErrors: refusePath,
    http: { headersTimeout: limits.header, connectionsCheckingInterval: limits.check },
    routerOptions: { maxParamLength: 128 },
  });
  app.server.maxConnections = 10_000;
  const paths = new Paths();
  app.addHook('onRoute', ({ url, method }) => {
    paths.add(url, method);
  });
  app.setErrorHandler(errorHandler((problem) => problem, 'application/problem+json'));
  app.setNotFoundHandler(notFound(paths));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_, body, done) => {
    try {
      done(null, parsedJson(body));
    } catch (error) {
      done(error as Error);
    }
  });
  app.setValidatorCompiler(({ schema, httpPart }) => (given: unknown) => {
    const value = httpPart === 'querystring' ? queryValues(schema, given) : given;
    const mismatch = mismatchOf(schema, value);
    if (mismatch === undefined) return { value };
    const { field, reason } = mismatch;
    const param = field === '' ? 'body' : field;
    return { error: new ServerError('ERR_DPM_ARGUMENT', `${param} ${reason}`, { param }) };
  });
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  await addHooks(app, context, tokens);
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'self'"], imgSrc: ["'self'", 'blob:', 'data:'], frameAncestors: ["'none'"] },
    },
    strictTransportSecurity: false,
  });
  await app.register(rateLimit, {
    hook: 'onRequest',
    max: ({ client }) => client.requestsPerMinute,
    timeWindow: 60_000,
    keyGenerator: ({ client, ip }) => (client.name === '' ? `address ${ip}` : `token ${client.name}`),
    allowList: ({ client, routeOptions }) =>
      routeOptions.config.scope === undefined || client.requestsPerMinute === Infinity,
    errorResponseBuilder: (_, { ttl }) =>
      new ServerError('ERR_DPM_RATE', 'too many requests in a minute', {
        headers: { 'retry-after': String(Math.ceil(ttl / 1000)) },
      }),
  });
  await describeRoutes(app, tokens !== undefined);
  if (context.settings.page) await addExplorer(app);
  for (const add of routes) add(app, context);
  await app.ready();
  return app;
}
