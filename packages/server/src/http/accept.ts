import { ServerError } from '../base/problem.js';

/** The forms of an answer with samples. A client that takes any form gets the first one. */
export const forms = [
  'application/json',
  'image/png',
  'application/x-npy',
  'application/x-safetensors',
  'text/event-stream',
] as const;

/** A form of the answer. */
export type Form = (typeof forms)[number];

interface Range {
  type: string;
  quality: number;
}

function rangesOf(accept: string): Range[] {
  return accept.split(',').flatMap((part) => {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    if (!/^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+$/.test(type)) return [];
    const given = parameters.find((parameter) => parameter.startsWith('q='));
    const quality = given === undefined ? 1 : Number(given.slice(2));
    return [{ type, quality: quality >= 0 && quality <= 1 ? quality : 0 }];
  });
}

function matches(range: string, form: string): boolean {
  return range === '*/*' || range === form || (range.endsWith('/*') && form.startsWith(range.slice(0, -1)));
}

/** The precision of a range: higher for a range that names fewer types. */
function precision(range: string): number {
  if (range === '*/*') return 0;
  return range.endsWith('/*') ? 1 : 2;
}

/** The quality that a client gives to a form, by the most precise range that has it (RFC 9110, section 12.5.1). */
function qualityOf(form: Form, ranges: readonly Range[]): number {
  const fitting = ranges.filter(({ type }) => matches(type, form));
  return fitting.sort((a, b) => precision(b.type) - precision(a.type))[0]?.quality ?? 0;
}

/**
 * The form that a client likes best.
 *
 * @throws {@link ServerError} `ERR_DPM_NOT_ACCEPTABLE` where the client takes none of the forms.
 */
export function negotiated(accept: string | undefined, offered: readonly Form[] = forms): Form {
  const ranges = rangesOf(accept ?? '*/*');
  const qualities = offered.map((form) => qualityOf(form, ranges));
  const best = Math.max(...qualities);
  const form = offered[qualities.indexOf(best)];
  if (form === undefined || best === 0) {
    throw new ServerError('ERR_DPM_NOT_ACCEPTABLE', `Accept names none of ${offered.join(', ')}`);
  }
  return form;
}
