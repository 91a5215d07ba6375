import { ServerError } from './problem.js';

/** The deepest nesting that a JSON body may have. */
const MOST_DEPTH = 32;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/** Matches text that may have a refused field, whose name may also be written with escapes. */
const mayRefuse = /__proto__|constructor|\\u/;

/** The deepest nesting of arrays and objects in JSON text. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let most = 0;
  let inText = false;
  for (let i = 0; i < bytes.length; ++i) {
    const byte = bytes[i];
    if (inText) {
      if (byte === 0x5c) ++i;
      else if (byte === 0x22) inText = false;
    } else if (byte === 0x22) inText = true;
    else if (byte === 0x5b || byte === 0x7b) most = Math.max(most, ++depth);
    else if (byte === 0x5d || byte === 0x7d) --depth;
  }
  return most;
}

/**
 * The value of a JSON body.
 *
 * @throws {@link ServerError} `ERR_DPM_ARGUMENT` for what is no UTF-8, no JSON, or nested too deeply.
 */
export function parsedJson(bytes: Uint8Array): unknown {
  if (depthOf(bytes) > MOST_DEPTH) {
    throw new ServerError('ERR_DPM_ARGUMENT', `the body is nested more than ${MOST_DEPTH} deep`);
  }
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new ServerError('ERR_DPM_ARGUMENT', 'the body is not UTF-8');
  }
  let refused: string | undefined;
  const refuse = (key: string, each: unknown): unknown => {
    if (key === '__proto__' || key === 'constructor') refused = key;
    return each;
  };
  let value: unknown;
  try {
    // A reviver takes several times as long as parsing, so it runs only where it may find something.
    value = JSON.parse(text, mayRefuse.test(text) ? refuse : undefined);
  } catch (error) {
    throw new ServerError('ERR_DPM_ARGUMENT', `the body is no JSON: ${(error as Error).message}`);
  }
  if (refused !== undefined) throw new ServerError('ERR_DPM_ARGUMENT', `the body has a field ${refused}`);
  return value;
}
