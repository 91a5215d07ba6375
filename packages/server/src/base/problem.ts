import { DpmError, type DpmErrorCode } from 'dpm-native';

/** The codes of errors that only a server has, with the status of their answers. */
const ownStatuses = {
  ERR_DPM_DRAINING: 503,
  ERR_DPM_FORBIDDEN: 403,
  ERR_DPM_HEADERS: 431,
  ERR_DPM_IDEMPOTENCY: 422,
  ERR_DPM_MEDIA_TYPE: 415,
  ERR_DPM_METHOD: 405,
  ERR_DPM_NOT_ACCEPTABLE: 406,
  ERR_DPM_NOT_FOUND: 404,
  ERR_DPM_QUEUE: 503,
  ERR_DPM_QUOTA: 429,
  ERR_DPM_RATE: 429,
  ERR_DPM_STORAGE: 507,
  ERR_DPM_TIMEOUT: 408,
  ERR_DPM_TOO_LARGE: 413,
  ERR_DPM_UNAUTHORIZED: 401,
  ERR_DPM_URI: 414,
} as const;

/** A code of an error that only a server has. */
export type ServerErrorCode = keyof typeof ownStatuses;

/** The codes of errors that only a server has. */
export const serverErrorCodes = Object.keys(ownStatuses) as ServerErrorCode[];

/** The status of the answer for each code of the library; 500 for other codes. */
const libraryStatuses: Partial<Record<DpmErrorCode, number>> = {
  ERR_DPM_ABORTED: 499,
  ERR_DPM_ARGUMENT: 400,
  ERR_DPM_CLOSED: 503,
  ERR_DPM_DEADLINE: 503,
  ERR_DPM_DEVICE: 503,
  ERR_DPM_NOT_FINITE: 422,
  ERR_DPM_OUT_OF_MEMORY: 503,
  ERR_DPM_OVERLOADED: 503,
  ERR_DPM_TENSOR_SHAPE: 400,
  ERR_DPM_UNSUPPORTED: 422,
  ERR_DPM_USAGE: 400,
};

/** Codes of errors after which the connection is closed. */
const closing: ReadonlySet<string> = new Set([
  'ERR_DPM_DRAINING',
  'ERR_DPM_HEADERS',
  'ERR_DPM_TIMEOUT',
  'ERR_DPM_TOO_LARGE',
]);

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  410: 'Gone',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  507: 'Insufficient Storage',
};

interface ServerErrorOptions {
  status?: number;
  param?: string;
  headers?: Record<string, string>;
  cause?: unknown;
}

/** The phrase for a status. */
export function titleOf(status: number): string {
  return titles[status] ?? 'Error';
}

/** An error of a request that is not an error of the library. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  /** The kind of error. */
  readonly code: ServerErrorCode | DpmErrorCode;
  /** The status of the answer. */
  readonly status: number;
  /** The field that is wrong. */
  readonly param: string | undefined;
  /** Headers of the answer. */
  readonly headers: Readonly<Record<string, string>>;

  /** @param message - Texts of a request in it are put on one line. */
  constructor(
    code: ServerErrorCode | DpmErrorCode,
    message: string,
    { status, param, headers = {}, cause }: ServerErrorOptions = {},
  ) {
    super(message.replace(/\s*[\r\n]\s*/g, ' '), { cause });
    this.code = code;
    this.status = status ?? statusOf(code);
    this.param = param;
    this.headers = headers;
  }
}

function statusOf(code: string): number {
  if (Object.hasOwn(ownStatuses, code)) return ownStatuses[code as ServerErrorCode];
  return libraryStatuses[code as DpmErrorCode] ?? 500;
}

/** An error of a request as its answer tells of it (RFC 9457). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  param?: string;
  retryAfterMs?: number;
  id: string;
}

/** An answer to a request that failed. */
export interface Failure {
  problem: Problem;
  headers: Record<string, string>;
}

/** The field that a message of the library begins with: `count is 0, it has to be …`. */
export function paramOf(message: string): string | undefined {
  return /^(?:sampler [\w+-]+: )?([A-Za-z]\w*)(?:\[\d+\])? (?:is|has|are|have) /.exec(message)?.[1];
}

/** Seconds to wait: up to a quarter is added at random, so that clients that were refused together do not all return together. */
function retryAfter(milliseconds: number, random: () => number): string {
  return String(Math.ceil((milliseconds / 1000) * (1 + 0.25 * random())) || 1);
}

function failureOfLibrary(error: DpmError, id: string, random: () => number): Failure {
  const { code, message, retryAfterMs } = error;
  const status = statusOf(code);
  const param = status === 400 ? paramOf(message) : undefined;
  const wait = retryAfterMs ?? (code === 'ERR_DPM_CLOSED' ? 1000 : undefined);
  return {
    problem: {
      ...problemOf(code, status, status === 500 ? hidden(id) : message, id),
      ...(param !== undefined && { param }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    },
    headers: status === 503 && wait !== undefined ? { 'retry-after': retryAfter(wait, random) } : {},
  };
}

/** The message for errors whose own message clients should not see. */
function hidden(id: string): string {
  return `the server failed; its log has more under ${id}`;
}

function problemOf(code: string, status: number, detail: string, id: string): Problem {
  return { type: `urn:dpm:${code}`, title: titleOf(status), status, code, detail, id };
}

/** Translates errors of the framework into errors of ours. */
function translated(error: unknown): unknown {
  const { code, message, name } = Object(error) as Record<'code' | 'message' | 'name', unknown>;
  // Paths that lead out of a folder of files have it.
  if (name === 'ForbiddenError') return new ServerError('ERR_DPM_NOT_FOUND', 'there is nothing at this path');
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ServerError('ERR_DPM_TOO_LARGE', 'the body is too large');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_INVALID_CONTENT_TYPE':
      return new ServerError('ERR_DPM_MEDIA_TYPE', 'the body has to be application/json');
    case 'FST_REQ_FILE_TOO_LARGE':
    case 'FST_FILES_LIMIT':
    case 'FST_FIELDS_LIMIT':
    case 'FST_PARTS_LIMIT':
      return new ServerError('ERR_DPM_TOO_LARGE', 'the form has more or larger parts than it may have');
    case 'FST_PROTO_VIOLATION':
      return new ServerError('ERR_DPM_ARGUMENT', 'the form has a field of a name that no field has');
    case 'FST_INVALID_MULTIPART_CONTENT_TYPE':
      return new ServerError('ERR_DPM_MEDIA_TYPE', 'the body has to be multipart/form-data');
    case 'ECONNRESET':
    case 'ERR_STREAM_PREMATURE_CLOSE':
      return new DpmError('ERR_DPM_ABORTED', 'the client has left');
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new ServerError('ERR_DPM_ARGUMENT', String(message));
    default:
      return error;
  }
}

/** The answer to a request that failed with an error. */
export function failureOf(thrown: unknown, id: string, random: () => number = Math.random): Failure {
  const error = translated(thrown);
  if (error instanceof DpmError) return failureOfLibrary(error, id, random);
  if (error instanceof ServerError) {
    const { code, status, message, param, headers } = error;
    return {
      problem: { ...problemOf(code, status, message, id), ...(param !== undefined && { param }) },
      headers: { ...headers, ...(closing.has(code) && { connection: 'close' }) },
    };
  }
  return { problem: problemOf('ERR_DPM_INTERNAL', 500, hidden(id), id), headers: {} };
}
