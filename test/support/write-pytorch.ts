// Pickles and zip archives put together by hand, right and wrong ones.
import { crc32 } from 'node:zlib';

/** Bytes, characters as bytes, or a row of such parts. */
export type Part = Uint8Array | string | readonly Part[];

/** Parts behind each other; a string is its characters as bytes. */
export function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'string') return Buffer.from(part, 'latin1');
      return part instanceof Uint8Array ? part : bytes(...part);
    }),
  );
}

export function u16(value: number): Buffer {
  return bytes(Uint8Array.of(value & 255, (value >> 8) & 255));
}

export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

export function u64(value: number | bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return buffer;
}

/** Opcodes, as parts. */
export const pickle = {
  text: (value: string): Part => ['X', u32(Buffer.byteLength(value)), Buffer.from(value)],
  integer: (value: number): Part => ['J', Uint8Array.from(new Uint8Array(Int32Array.of(value).buffer))],
  long: (value: bigint): Part => ['\x8a\x08', u64(value)],
  tuple: (...items: readonly Part[]): Part => ['(', items, 't'],
  dictionary: (...items: readonly Part[]): Part => ['}(', items, 'u'],
  list: (...items: readonly Part[]): Part => ['](', items, 'e'],
  global: (module: string, name: string): Part => ['c', module, '\n', name, '\n'],
  storage: (key: string, elements: number | bigint, type = 'FloatStorage', ...more: readonly Part[]): Part => [
    pickle.tuple(
      pickle.text('storage'),
      pickle.global('torch', type),
      pickle.text(key),
      pickle.text('cpu'),
      typeof elements === 'number' ? pickle.integer(elements) : pickle.long(elements),
      ...more,
    ),
    'Q',
  ],
  tensor: (storage: Part, offset: Part, shape: readonly Part[], stride: readonly Part[]): Part => [
    pickle.global('torch._utils', '_rebuild_tensor_v2'),
    pickle.tuple(storage, offset, pickle.tuple(...shape), pickle.tuple(...stride), '\x89', '}'),
    'R',
  ],
  whole: (...parts: readonly Part[]): Buffer => bytes('\x80\x02', ...parts, '.'),
};

/** An entry of an archive, with what can be wrong about it. */
export interface Entry {
  name: string;
  data: Uint8Array;
  method?: number;
  crc?: number;
  flags?: number;
  /** Position of its start by the directory, or the difference of its size there. */
  at?: number;
  longer?: number;
  /** Number of the file that it begins in, of an archive of several. */
  disk?: number;
  localName?: string;
  padding?: number;
  extra?: Uint8Array;
  /** Sizes and offset as 0xffffffff and in a zip64 field. */
  large?: boolean;
}

export interface ArchiveOptions {
  comment?: string;
  /** Numbers of the zip64 end record; without it there is none. */
  end64?: { entries?: bigint; bytes?: bigint; offset?: bigint };
  entries?: number;
  disk?: number;
}

function directoryEntry(entry: Entry, position: number): Buffer {
  const size = entry.data.length + (entry.longer ?? 0);
  const at = entry.at ?? position;
  const [sizeField, atField] = entry.large === true ? [0xffffffff, 0xffffffff] : [size, at];
  const large = bytes(u16(1), u16(24), u64(size), u64(size), u64(at));
  const extra = entry.extra ?? (entry.large === true ? bytes(u16(9), u16(1), 'x', large) : Buffer.alloc(0));
  const name = Buffer.from(entry.name);
  return bytes(
    ['PK\x01\x02', u16(0), u16(0), u16(entry.flags ?? 0), u16(entry.method ?? 0), u32(0)],
    [u32(entry.crc ?? crc32(entry.data)), u32(sizeField), u32(sizeField)],
    [u16(name.length), u16(extra.length), u16(0), u16(entry.disk ?? 0), u16(0), u32(0), u32(atField), name, extra],
  );
}

/** A zip archive of entries. */
export function archive(entries: readonly Entry[], options: ArchiveOptions = {}): Buffer {
  const local: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const entry of entries) {
    const name = Buffer.from(entry.localName ?? entry.name);
    const header = bytes(
      ['PK\x03\x04', u16(0), u16(entry.flags ?? 0), u16(entry.method ?? 0), u32(0), u32(0), u32(0), u32(0)],
      [u16(name.length), u16(entry.padding ?? 0), name, new Uint8Array(entry.padding ?? 0), entry.data],
    );
    directory.push(directoryEntry(entry, position));
    local.push(header);
    position += header.length;
  }
  const listed = Buffer.concat(directory);
  const count = options.entries ?? entries.length;
  const { end64, comment = '', disk = 0 } = options;
  const end64At = position + listed.length;
  const large = end64 && [
    ['PK\x06\x06', u64(44), u16(45), u16(45), u32(0), u32(0)],
    [u64(end64.entries ?? count), u64(end64.entries ?? count)],
    [u64(end64.bytes ?? listed.length), u64(end64.offset ?? position)],
    ['PK\x06\x07', u32(0), u64(end64At), u32(1)],
  ];
  const small = end64 === undefined ? [listed.length, position] : [0xffffffff, 0xffffffff];
  return bytes(
    [...local, listed, large ?? ''],
    ['PK\x05\x06', u16(disk), u16(disk), u16(count), u16(count), ...small.map(u32), u16(comment.length), comment],
  );
}

/** The entries of a small checkpoint, with a storage for each key. */
export function checkpointEntries(data: Uint8Array, storages: Readonly<Record<string, Uint8Array>> = {}): Entry[] {
  return [
    { name: 'm/data.pkl', data },
    { name: 'm/byteorder', data: bytes('little') },
    ...Object.entries(storages).map(([key, content]) => ({ name: `m/data/${key}`, data: content, padding: 5 })),
    { name: 'm/version', data: bytes('3\n') },
  ];
}

/** A file of the legacy form. */
export function legacy(objects: Uint8Array, keys: readonly string[], ...storages: readonly Part[]): Buffer {
  return bytes(
    '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.',
    '\x80\x02M\xe9\x03.',
    pickle.whole(pickle.dictionary(pickle.text('little_endian'), '\x88')),
    objects,
    pickle.whole(pickle.list(...keys.map(pickle.text))),
    ...storages,
  );
}

/** `count` numbers as the bytes of float32. */
export function floats(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}
