// Parquet files put together by hand, right and wrong ones: pictures `image` as plain bytes, and labels `label` of 64 bits.
import { bytes, u32, type Part } from './write-pytorch.js';

/** A value of Thrift's compact protocol: numbers of 32 or (bigint) 64 bits, bytes, truth values, lists, structs. */
export type Thrift = number | bigint | boolean | string | Uint8Array | readonly Thrift[] | ThriftStruct;
/** Fields of a struct by their numbers, in ascending order. */
export interface ThriftStruct {
  readonly [id: number]: Thrift;
}

/** A number of 7 bits a byte, lowest first. */
export function varint(value: number | bigint): Buffer {
  const parts: number[] = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 0x80n) return Buffer.from([...parts, Number(rest)]);
    parts.push(Number(rest & 0x7fn) | 0x80);
  }
}

const isList = (value: Thrift): value is readonly Thrift[] => Array.isArray(value);

function typeOf(value: Thrift): number {
  if (typeof value === 'boolean') return value ? 1 : 2;
  if (typeof value === 'number') return 5;
  if (typeof value === 'bigint') return 6;
  if (typeof value === 'string' || value instanceof Uint8Array) return 8;
  return isList(value) ? 9 : 12;
}

function encoded(value: Thrift): Part {
  if (typeof value === 'boolean') return '';
  if (typeof value === 'number' || typeof value === 'bigint') {
    return varint(BigInt(value) >= 0n ? 2n * BigInt(value) : -2n * BigInt(value) - 1n);
  }
  if (typeof value === 'string') return encoded(Buffer.from(value));
  if (value instanceof Uint8Array) return [varint(value.length), value];
  if (!isList(value)) return thrift(value);
  const type = value.length === 0 ? 12 : typeOf(value[0]!);
  const items = value.map((item) => (typeof item === 'boolean' ? Uint8Array.of(item ? 1 : 2) : encoded(item)));
  return [Uint8Array.of(0xf0 | type), varint(value.length), items];
}

/** A struct, each field by its distance to the one before. */
export function thrift(struct: ThriftStruct): Buffer {
  let last = 0;
  const fields = Object.entries(struct).map(([id, value]: [string, Thrift]) => {
    const distance = Number(id) - last;
    last = Number(id);
    return [Uint8Array.of((distance << 4) | typeOf(value)), encoded(value)];
  });
  return bytes(...fields, '\0');
}

/** Values of a column one after the other, each behind its length. */
export const byteArrays = (values: readonly Uint8Array[]): Buffer =>
  bytes(...values.map((value) => [u32(value.length), value]));

/** Integers of 64 bits. */
export const integers = (values: readonly number[]): Buffer =>
  Buffer.from(BigInt64Array.from(values.map(BigInt)).buffer);

/** A page of the first form, with fields that are other than they should be. */
export function dataPage(
  count: number,
  data: Uint8Array,
  changed: ThriftStruct = {},
  inner: ThriftStruct = {},
): Buffer {
  const header = { 1: 0, 2: data.length, 3: data.length, 5: { 1: count, 2: 0, 3: 3, 4: 3, ...inner }, ...changed };
  return bytes(thrift(header), data);
}

/** A page of the second form. */
export function dataPage2(
  count: number,
  data: Uint8Array,
  changed: ThriftStruct = {},
  inner: ThriftStruct = {},
): Buffer {
  const own = { 1: count, 2: 0, 3: count, 4: 0, 5: 0, 6: 0, 7: false, ...inner };
  return bytes(thrift({ 1: 3, 2: data.length, 3: data.length, 8: own, ...changed }), data);
}

/** A page of values that others are places in. */
export function dictionaryPage(
  count: number,
  data: Uint8Array,
  changed: ThriftStruct = {},
  inner: ThriftStruct = {},
): Buffer {
  return bytes(thrift({ 1: 2, 2: data.length, 3: data.length, 7: { 1: count, 2: 0, ...inner }, ...changed }), data);
}

/** A column, its pages, and fields that are other than they should be. */
export interface WrittenColumn {
  readonly name: string;
  /** 6: bytes, 2: integers of 64 bits. */
  readonly type: number;
  readonly pages: readonly Uint8Array[];
  /** Fields of its element of the schema; 3: 0 is required, 1 optional, 2 repeated. */
  readonly element?: ThriftStruct;
  /** Fields of its `meta_data`; 4 is the codec, 5 the number of values, 7 the size, 9 where it begins. */
  readonly meta?: ThriftStruct;
}

/** Fields of a footer that are other than they should be. */
export interface WrittenFooter {
  readonly footer?: ThriftStruct;
  readonly group?: ThriftStruct;
  readonly root?: ThriftStruct;
  readonly chunk?: ThriftStruct;
}

/** A file of one group of rows. */
export function parquetFile(rows: number, columns: readonly WrittenColumn[], changed: WrittenFooter = {}): Buffer {
  let position = 4;
  const chunks = columns.map(({ name, type, pages, meta }) => {
    const start = position;
    const size = pages.reduce((sum, page) => sum + page.length, 0);
    position += size;
    const data = { 1: type, 2: [0], 3: [name], 4: 0, 5: rows, 6: size, 7: size, 9: start, ...meta };
    return { 2: start, 3: data, ...changed.chunk };
  });
  const schema = [
    { 4: 'schema', 5: columns.length, ...changed.root },
    ...columns.map(({ name, type, element }) => ({ 1: type, 3: 0, 4: name, ...element })),
  ];
  const footer = thrift({
    1: 1,
    2: schema,
    3: rows,
    4: [{ 1: chunks, 2: position, 3: rows, ...changed.group }],
    ...changed.footer,
  });
  return bytes('PAR1', ...columns.flatMap(({ pages }) => pages), footer, u32(footer.length), 'PAR1');
}

/** A column of pictures in one page. */
export const pictureColumn = (
  pictures: readonly Uint8Array[],
  changed: Partial<WrittenColumn> = {},
): WrittenColumn => ({
  name: 'image',
  type: 6,
  pages: [dataPage(pictures.length, byteArrays(pictures))],
  ...changed,
});

/** A column of labels in one page. */
export const labelColumn = (labels: readonly number[], changed: Partial<WrittenColumn> = {}): WrittenColumn => ({
  name: 'label',
  type: 2,
  pages: [dataPage(labels.length, integers(labels))],
  ...changed,
});
