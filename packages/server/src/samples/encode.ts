import { ImageBatch, type PixelRange } from 'dpm-native';

/** Images in a form that can be sent to another thread, as grey levels or values. */
export interface SentImages {
  values: Uint8Array | Float32Array;
  /** The sizes [N, C, H, W]. */
  shape: readonly [number, number, number, number];
  range: PixelRange;
}

/** An answer's body that is made of images. */
export type Encoding =
  | { form: 'image/png' | 'application/x-npy' | 'application/x-safetensors'; images: SentImages }
  /** The fields of the answer beside its images. */
  | { form: 'application/json'; images: SentImages; fields: object };

/** Makes the bodies of answers, on any thread. */
export interface Encoder {
  encode(encoding: Encoding): Promise<Uint8Array>;
}

/** Converts samples to grey levels or values, as the request wants them. */
export function sentImages(images: ImageBatch, dtype: 'u8' | 'f32'): SentImages {
  return { values: dtype === 'u8' ? images.toUint8() : images.data, shape: images.shape, range: images.range };
}

function batchOf({ values, shape, range }: SentImages): ImageBatch {
  return new ImageBatch(values, [...shape], range);
}

/** The columns and rows of a grid of images. */
export function gridOf(count: number): { columns: number; rows: number } {
  const columns = Math.ceil(Math.sqrt(count));
  return { columns, rows: Math.ceil(count / columns) };
}

function bytesOf(values: Uint8Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Writes NPY 1.0, the format of numpy. */
function npyOf({ values, shape }: SentImages): Uint8Array {
  const descr = values instanceof Uint8Array ? '|u1' : '<f4';
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  // Magic, version and length take ten bytes. The whole header has a multiple of 64 bytes and ends with a line feed.
  const padded = Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 10;
  const header = Buffer.alloc(10);
  header.write('\x93NUMPY\x01\x00', 'latin1');
  header.writeUInt16LE(padded, 8);
  return Buffer.concat([header, Buffer.from(`${dictionary.padEnd(padded - 1)}\n`, 'latin1'), bytesOf(values)]);
}

function safetensorsOf({ values, shape }: SentImages): Uint8Array {
  const dtype = values instanceof Uint8Array ? 'U8' : 'F32';
  const text = JSON.stringify({ images: { dtype, shape, data_offsets: [0, values.byteLength] } });
  const header = text.padEnd(Math.ceil(text.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header, 'latin1'), bytesOf(values)]);
}

function jsonOf(images: ImageBatch, fields: object): Uint8Array {
  const encoded = [...images].map((image, index) => {
    const b64 = Buffer.from(image.toPng()).toString('base64');
    return { index, contentType: 'image/png', b64 };
  });
  return Buffer.from(JSON.stringify({ ...fields, images: encoded }));
}

/** Makes the body of an answer, which takes milliseconds for large images. */
export function encoded(encoding: Encoding): Uint8Array {
  const { form, images } = encoding;
  switch (form) {
    case 'image/png': {
      const batch = batchOf(images);
      return batch.toPng({ columns: gridOf(batch.count).columns });
    }
    case 'application/x-npy':
      return npyOf(images);
    case 'application/x-safetensors':
      return safetensorsOf(images);
    case 'application/json':
      return jsonOf(batchOf(images), encoding.fields);
  }
}
