import { oneLine, shortened, shownValue } from './text.js';

/** List of all codes of a {@link DpmError}; docs/errors.md explains each one. */
export const dpmErrorCodes = [
  'ERR_DPM_ABORTED',
  'ERR_DPM_ADDON',
  'ERR_DPM_ARGUMENT',
  'ERR_DPM_CLOSED',
  'ERR_DPM_CONFIG',
  'ERR_DPM_DEADLINE',
  'ERR_DPM_DEVICE',
  'ERR_DPM_FILE',
  'ERR_DPM_FILE_HEADER',
  'ERR_DPM_FILE_TRUNCATED',
  'ERR_DPM_HEADER_SIZE',
  'ERR_DPM_INTERNAL',
  'ERR_DPM_NOT_FINITE',
  'ERR_DPM_OUT_OF_MEMORY',
  'ERR_DPM_OVERLOADED',
  'ERR_DPM_PICKLE',
  'ERR_DPM_TENSOR_DTYPE',
  'ERR_DPM_TENSOR_MISSING',
  'ERR_DPM_TENSOR_OVERLAP',
  'ERR_DPM_TENSOR_SHAPE',
  'ERR_DPM_TENSOR_SIZE',
  'ERR_DPM_TENSOR_UNUSED',
  'ERR_DPM_UNSUPPORTED',
  'ERR_DPM_USAGE',
] as const;

/** Code of an error. Codes are stable: never renamed; new ones may be added. */
export type DpmErrorCode = (typeof dpmErrorCodes)[number];

const LONGEST_MESSAGE = 2000;

/** Options of an error. */
export interface DpmErrorOptions extends ErrorOptions {
  /** See {@link DpmError.retryAfterMs}. */
  retryAfterMs?: number | undefined;
}

/** Error class of this package, the only one. Match on {@link DpmError.code}, never on the message. */
export class DpmError extends Error {
  /** Name of the class, `DpmError`. */
  override readonly name = 'DpmError';
  /** Code of the error, see {@link DpmErrorCode}. */
  readonly code: DpmErrorCode;
  /** Milliseconds after which there may be room for the request; only with `ERR_DPM_OVERLOADED` and `ERR_DPM_DEADLINE`. */
  readonly retryAfterMs?: number;

  /** @param message - Text that may quote files and callers: it becomes one line of at most 2000 characters. */
  constructor(code: DpmErrorCode, message: string, options: DpmErrorOptions = {}) {
    super(oneLine(shortened(message, LONGEST_MESSAGE)), options);
    this.code = code;
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/**
 * Makes the error of a request that is not taken now. It has no stack: nothing is wrong with the caller, and a server that is full
 * makes more of these than of all else.
 */
export function refusal(
  code: 'ERR_DPM_OVERLOADED' | 'ERR_DPM_DEADLINE',
  message: string,
  retryAfterMs: number,
): DpmError {
  const { stackTraceLimit } = Error;
  // Where the process has frozen its classes, errors have stacks.
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return new DpmError(code, message, { retryAfterMs });
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  }
}

const knownCodes: ReadonlySet<string> = new Set(dpmErrorCodes);

function isDpmErrorCode(code: unknown): code is DpmErrorCode {
  return typeof code === 'string' && knownCodes.has(code);
}

/**
 * Converts an error of the native engine (an `Error` with a `code`) to a {@link DpmError}; a DpmError is returned
 * unchanged and anything else becomes `ERR_DPM_INTERNAL` with the original as `cause`.
 */
export function toDpmError(error: unknown): DpmError {
  if (error instanceof DpmError) return error;
  const message = error instanceof Error ? error.message : typeof error === 'string' ? error : shownValue(error);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return new DpmError(isDpmErrorCode(code) ? code : 'ERR_DPM_INTERNAL', message, { cause: error });
}

/** Does native work and turns its failure, thrown or rejected, into a {@link DpmError}. */
export async function nativeWork<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toDpmError(error);
  }
}
