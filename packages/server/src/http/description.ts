import { dpmErrorCodes } from 'dpm-native';
import type { FastifySchema, RouteOptions } from 'fastify';
import Type, { type TSchema } from 'typebox';

import { serverErrorCodes, titleOf } from '../base/problem.js';
import { version } from '../base/version.js';

const strict = { additionalProperties: false };

/** A body in one form, as the description tells of it. */
interface DescribedBody {
  schema: TSchema;
  /** The data of each event of an event stream, by the event's name. */
  'x-events'?: Record<string, TSchema>;
}

/** An answer as the description tells of it. */
export interface DescribedAnswer {
  description: string;
  headers?: Record<string, TSchema>;
  /** The forms of the body by their media types. */
  content: Record<string, DescribedBody>;
}

/** The schema of a {@link Problem}. */
export const problemSchema = Type.Object(
  {
    type: Type.String({ pattern: '^urn:dpm:ERR_DPM_' }),
    title: Type.String({ description: 'Title of the status.' }),
    status: Type.Integer(),
    code: Type.Enum([...dpmErrorCodes, ...serverErrorCodes]),
    detail: Type.String({ description: 'What is wrong, where, and what would be right.' }),
    param: Type.Optional(Type.String({ description: 'The field that is wrong.' })),
    retryAfterMs: Type.Optional(Type.Number({ minimum: 0 })),
    id: Type.String({ description: 'Id of the request, which the log has, too.' }),
  },
  { ...strict, $id: 'Problem', description: 'RFC 9457.' },
);

/** The schema of an error in OpenAI's form. */
export const openaiErrorSchema = Type.Object(
  {
    error: Type.Object(
      {
        message: Type.String(),
        type: Type.Enum(['rate_limit_error', 'invalid_request_error', 'server_error']),
        param: Type.Union([Type.String(), Type.Null()]),
        code: Type.Enum([...dpmErrorCodes, ...serverErrorCodes]),
      },
      strict,
    ),
  },
  { ...strict, $id: 'OpenAIError' },
);

/** The schema of an error in KServe's form. */
export const kserveErrorSchema = Type.Object({ error: Type.String() }, { ...strict, $id: 'KServeError' });

/** The schemas that answers share, by names in the description. */
export const sharedSchemas = [problemSchema, openaiErrorSchema, kserveErrorSchema];

const errorBodies = {
  problem: { 'application/problem+json': { schema: Type.Ref('Problem#') } },
  openai: { 'application/json': { schema: Type.Ref('OpenAIError#') } },
  kserve: { 'application/json': { schema: Type.Ref('KServeError#') } },
} as const;

/** The form in which errors are answered. */
export type ErrorForm = keyof typeof errorBodies;

/** A body of bytes of a media type. */
export function binary(type: string, description: string): Record<string, DescribedBody> {
  return { [type]: { schema: Type.Unknown({ contentMediaType: type, description }) } };
}

/** An answer that is always JSON. */
export function jsonAnswer(description: string, schema: TSchema): DescribedAnswer {
  return { description, content: { 'application/json': { schema } } };
}

const errorHeaders: Readonly<Record<number, Record<string, TSchema>>> = {
  401: { 'www-authenticate': Type.String() },
  429: { 'retry-after': Type.String({ description: 'Seconds.' }) },
  503: { 'retry-after': Type.String({ description: 'Seconds, where it is known.' }) },
};

/** The answer to a request that failed. */
function failed(status: number, form: ErrorForm): DescribedAnswer {
  const headers = errorHeaders[status];
  return { description: titleOf(status), ...(headers !== undefined && { headers }), content: errorBodies[form] };
}

type RouteConfig = NonNullable<RouteOptions['config']>;

/** The statuses of errors that the hooks, the reader of bodies and the route itself may answer. */
function statusesOf(
  { scope, isWork = false, fails = [] }: RouteConfig,
  takesBody: boolean,
  hasTokens: boolean,
): number[] {
  const refused = scope === undefined ? [] : [...(hasTokens ? [401] : []), 403, 429];
  return [400, 414, 415, 500, ...refused, ...(takesBody ? [413] : []), ...(isWork ? [503] : []), ...fails];
}

/** The statuses that end a connection before its route is known. */
const CONNECTION_STATUSES = [408, 431];

/** Adds to the schema of a route the errors that it may answer and the token that it needs. */
export function describedRoute(schema: FastifySchema, config: RouteConfig, hasTokens: boolean): FastifySchema {
  const { scope, errorForm = 'problem' } = config;
  const errors = [
    ...statusesOf(config, schema.body !== undefined, hasTokens).map((status) => [status, errorForm] as const),
    ...CONNECTION_STATUSES.map((status) => [status, 'problem'] as const),
  ];
  const described = Object.fromEntries(errors.map(([status, form]) => [status, failed(status, form)]));
  return {
    ...schema,
    ...(hasTokens && scope !== undefined && { security: [{ bearer: [scope] }] }),
    response: { ...described, ...(schema.response as object) },
  };
}

/** The part of the description that is about the whole server. */
export function describedServer(hasTokens: boolean): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'dpm-native-server',
      version,
      summary: 'Samples of diffusion probabilistic models.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: [
      { name: 'samples', description: 'Drawing.' },
      { name: 'jobs', description: 'Drawing that nobody waits for.' },
      { name: 'models', description: 'Models that are served, and samplers.' },
      { name: 'openai', description: "OpenAI's images." },
      { name: 'kserve', description: 'Evaluations by the Open Inference Protocol, version 2.' },
      { name: 'probes', description: 'How the server is, and what it does.' },
    ],
    ...(hasTokens && {
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'A token with the scopes that a route asks for.' },
        },
      },
    }),
  };
}
