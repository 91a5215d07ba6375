import { oneLine, shortened, shownValue } from './text.js';

/** Every code a {@link DpmError} can carry; docs/errors.md says what each one means. */
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

/** A stable error code. Codes are never renamed; new ones may be added. */
export type DpmErrorCode = (typeof dpmErrorCodes)[number];

const LONGEST_MESSAGE = 2000;

/** What an error brings along. */
export interface DpmErrorOptions extends ErrorOptions {
  /** See {@link DpmError.retryAfterMs}. */
  retryAfterMs?: number | undefined;
}

/** The one error class of this package. Match on {@link DpmError.code}, never on the message. */
export class DpmError extends Error {
  /** Always `DpmError`. */
  override readonly name = 'DpmError';
  /** What went wrong, see {@link DpmErrorCode}. */
  readonly code: DpmErrorCode;
  /** Milliseconds after which there may be room for the request; with `ERR_DPM_OVERLOADED` and `ERR_DPM_DEADLINE` alone. */
  readonly retryAfterMs?: number;

  /** @param message - May hold texts of files and of callers: it becomes one line of at most 2000 characters. */
  constructor(code: DpmErrorCode, message: string, options: DpmErrorOptions = {}) {
    super(oneLine(shortened(message, LONGEST_MESSAGE)), options);
    this.code = code;
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

const knownCodes: ReadonlySet<string> = new Set(dpmErrorCodes);

function isDpmErrorCode(code: unknown): code is DpmErrorCode {
  return typeof code === 'string' && knownCodes.has(code);
}

/**
 * An error of the native engine (an `Error` with a `code`) as a {@link DpmError}; a DpmError is returned unchanged
 * and anything else becomes `ERR_DPM_INTERNAL` with the original as `cause`.
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
