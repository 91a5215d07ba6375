// An independent reader of files of events: checksums bit by bit, messages by their fields.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { PbfReader } from 'pbf';

export interface ReadPicture {
  height: number;
  width: number;
  colorspace: number;
  png: Uint8Array;
}

export interface ReadEvent {
  time: number;
  step: number;
  version?: string;
  session?: number;
  values: Record<string, number | ReadPicture>;
}

/** CRC-32C (Castagnoli), a bit at a time. */
export function crc32cOf(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; ++bit) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

/** The checksum that was masked. */
export function unmasked(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated << 15) | (rotated >>> 17)) >>> 0;
}

/** The data of whole records up to one that is cut off. */
export function recordsOf(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at + 12 <= bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    if (unmasked(bytes.readUInt32LE(at + 8)) !== crc32cOf(bytes.subarray(at, at + 8))) throw new Error('wrong length');
    const end = at + 12 + length;
    if (end + 4 > bytes.length) break;
    const data = bytes.subarray(at + 12, end);
    if (unmasked(bytes.readUInt32LE(end)) !== crc32cOf(data)) throw new Error('wrong data');
    records.push(data);
    at = end + 4;
  }
  return records;
}

function readPicture(pbf: PbfReader): ReadPicture {
  const read = (tag: number, picture: ReadPicture): void => {
    if (tag === 1) picture.height = pbf.readVarint();
    if (tag === 2) picture.width = pbf.readVarint();
    if (tag === 3) picture.colorspace = pbf.readVarint();
    if (tag === 4) picture.png = Uint8Array.from(pbf.readBytes());
  };
  return pbf.readMessage(read, { height: 0, width: 0, colorspace: 0, png: new Uint8Array() });
}

function readValue(pbf: PbfReader): [string, number | ReadPicture] {
  const read = (tag: number, value: { tag: string; value: number | ReadPicture }): void => {
    if (tag === 1) value.tag = pbf.readString();
    if (tag === 2) value.value = pbf.readFloat();
    if (tag === 4) value.value = readPicture(pbf);
  };
  const { tag, value } = pbf.readMessage(read, { tag: '', value: 0 });
  return [tag, value];
}

function readEvent(bytes: Uint8Array): ReadEvent {
  const read = (tag: number, event: ReadEvent, pbf: PbfReader): void => {
    if (tag === 1) event.time = pbf.readDouble();
    if (tag === 2) event.step = pbf.readVarint();
    if (tag === 3) event.version = pbf.readString();
    if (tag === 5) {
      const values: [string, number | ReadPicture][] = [];
      pbf.readMessage((field) => {
        if (field === 1) values.push(readValue(pbf));
      }, null);
      event.values = Object.fromEntries(values);
    }
    if (tag === 7) {
      event.session = pbf.readMessage(
        (field, log) => {
          if (field === 1) log.status = pbf.readVarint();
        },
        { status: 0 },
      ).status;
    }
  };
  return new PbfReader(bytes).readFields(read, { time: 0, step: 0, values: {} });
}

/** The files of events of a folder, in their order. */
export function eventFiles(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.includes('tfevents'));
  return names.sort().map((name) => join(folder, name));
}

/** The events of a file. */
export function eventsIn(path: string): ReadEvent[] {
  return recordsOf(readFileSync(path)).map(readEvent);
}

/** What TensorBoard shows of a folder: the events of all files, where a start drops what was of its step and later ones. */
export function shownEvents(folder: string): ReadEvent[] {
  let shown: ReadEvent[] = [];
  for (const event of eventFiles(folder).flatMap(eventsIn)) {
    if (event.session === 1) shown = shown.filter(({ step }) => step < event.step);
    if (Object.keys(event.values).length > 0) shown.push(event);
  }
  return shown;
}
