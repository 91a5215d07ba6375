import type { MultipartFile, MultipartValue } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import type { TObject } from 'typebox';

import { ServerError } from '../../base/problem.js';
import { mismatchOf } from '../../base/schema.js';
import { wrongField } from './bodies.js';

/** A form: its fields in the types of their schema, and its files by their names. */
export interface Form {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/** What a field of a form, which is a text, means in the type of its schema. */
function typed(value: string, schema: unknown): unknown {
  const { type } = Object(schema) as { type?: unknown };
  if (type === 'integer' || type === 'number') return value.trim() === '' ? value : Number(value);
  if (type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value;
  return value;
}

type Part = MultipartFile | MultipartValue<string>;

/** Yields the parts of a form. @throws {@link ServerError} where it is cut off, or is none. */
async function* partsOf(request: FastifyRequest): AsyncGenerator<Part, void, void> {
  try {
    yield* request.parts() as AsyncIterable<Part>;
  } catch (error) {
    const { code } = Object(error) as { code?: unknown };
    if (code !== undefined) throw error;
    throw new ServerError('ERR_DPM_ARGUMENT', `the form cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Reads a form, whose fields are checked by a schema.
 *
 * @param names - Names of files that it may have.
 * @throws {@link ServerError} naming the field that is wrong, is there twice, or is not known.
 */
export async function formOf(request: FastifyRequest, schema: TObject, names: readonly string[]): Promise<Form> {
  const fields: Record<string, unknown> = {};
  const files: Record<string, Uint8Array> = {};
  for await (const part of partsOf(request)) {
    // Clients write lists as name[], a list of one, too.
    const name = part.fieldname.replace(/\[\]$/, '');
    if (Object.hasOwn(fields, name) || Object.hasOwn(files, name)) throw wrongField(name, `${name} is there twice`);
    if (part.type === 'file') {
      if (!names.includes(name)) throw wrongField(name, `${name} is no file of this request`);
      files[name] = await part.toBuffer();
    } else {
      if (names.includes(name)) throw wrongField(name, `${name} has to be a file`);
      fields[name] = typed(part.value, schema.properties[name]);
    }
  }
  const mismatch = mismatchOf(schema, fields);
  if (mismatch !== undefined) throw wrongField(mismatch.field, `${mismatch.field} ${mismatch.reason}`);
  return { fields, files };
}
