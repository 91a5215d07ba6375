import Type, { type Static } from 'typebox';

import { ServerError } from '../../../base/problem.js';
import { mismatchOf } from '../../../base/schema.js';
import { parsedJson } from '../../../base/json.js';
import { type Tensor, tensorsOf } from './tensors.js';

const strict = { additionalProperties: false };
const name = Type.String({ maxLength: 64 });

/** The JSON of `POST /v2/models/{id}/infer`. */
export const inferSchema = Type.Object(
  {
    id: Type.Optional(name),
    inputs: Type.Array(
      Type.Object(
        {
          name,
          shape: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, maxItems: 4 }),
          datatype: name,
          data: Type.Optional(Type.Array(Type.Unknown())),
          parameters: Type.Optional(Type.Object({ binary_data_size: Type.Optional(Type.Integer({ minimum: 0 })) })),
        },
        strict,
      ),
      { minItems: 2, maxItems: 3 },
    ),
    outputs: Type.Optional(
      Type.Array(
        Type.Object({
          name,
          parameters: Type.Optional(Type.Object({ binary_data: Type.Optional(Type.Boolean()) })),
        }),
        { maxItems: 1 },
      ),
    ),
    parameters: Type.Optional(
      Type.Object({
        priority: Type.Optional(Type.Integer({ minimum: 0, description: '1 is the highest; 0: as any other.' })),
        timeout: Type.Optional(Type.Integer({ minimum: 1, description: 'Microseconds.' })),
        binary_data_output: Type.Optional(Type.Boolean()),
      }),
    ),
  },
  strict,
);
type InferRequest = Static<typeof inferSchema>;

/** A body as it came. */
export interface InferenceBody {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of JSON; what follows them is binary data. */
  readonly jsonLength: number;
}

/** A request that has been read: its JSON, and the inputs as tensors. */
export interface Inference extends Omit<InferRequest, 'inputs'> {
  readonly tensors: readonly Tensor[];
}

function checkedRequest(json: unknown): InferRequest {
  const mismatch = mismatchOf(inferSchema, json);
  if (mismatch === undefined) return json as InferRequest;
  const { field, reason } = mismatch;
  throw new ServerError('ERR_DPM_ARGUMENT', `${field === '' ? 'the body' : field} ${reason}`);
}

/**
 * Reads a body, which takes a second for 30 MiB of numbers.
 *
 * @throws {@link ServerError} `ERR_DPM_ARGUMENT` where the body is not a request to any model.
 */
export function inferenceOf({ bytes, jsonLength }: InferenceBody): Inference {
  const { inputs, ...request } = checkedRequest(parsedJson(bytes.subarray(0, jsonLength)));
  const output = request.outputs?.find((each) => each.name !== 'out');
  if (output !== undefined)
    throw new ServerError('ERR_DPM_ARGUMENT', `the model has no output ${output.name}, it has out`);
  const binary = Buffer.from(bytes.buffer, bytes.byteOffset + jsonLength, bytes.length - jsonLength);
  return { ...request, tensors: tensorsOf(inputs, binary) };
}
