/** The result of an evaluation, and the fields of its answer. */
export interface Outputs {
  /** The answer's fields beside its outputs. */
  readonly fields: object;
  /** The fields of the output beside its data. */
  readonly output: object;
  readonly values: Float32Array;
}

/** The answer as JSON, with all numbers. Many numbers take milliseconds. */
export function textOf({ fields, output, values }: Outputs): Uint8Array {
  return Buffer.from(JSON.stringify({ ...fields, outputs: [{ ...output, data: [...values] }] }));
}

/** The same as JSON without numbers, which follow as bytes. */
export function binaryOf({ fields, output, values }: Outputs): { body: Buffer; jsonLength: number } {
  const parameters = { binary_data_size: values.byteLength };
  const text = Buffer.from(JSON.stringify({ ...fields, outputs: [{ ...output, parameters }] }));
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { body: Buffer.concat([text, bytes]), jsonLength: text.length };
}
