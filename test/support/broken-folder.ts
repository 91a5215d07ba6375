import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

type Json = Record<string, unknown>;
type Keys = readonly string[];

/** One edit of a file of a folder, as test/fixtures/latent/hostile/edits.json says. */
export interface Edit {
  file: string;
  set?: [Keys, unknown][];
  delete?: Keys[];
  append?: string;
  drop?: string[];
  replace?: [string, string];
  truncate?: number;
  bytes?: [number, string];
  remove?: true;
}

interface Entry {
  data_offsets: [number, number];
}

function change(json: Json, edit: Edit): void {
  const holder = (keys: Keys): Json => keys.slice(0, -1).reduce((inside, key) => inside[key] as Json, json);
  for (const [keys, value] of edit.set ?? []) holder(keys)[keys.at(-1)!] = value;
  for (const keys of edit.delete ?? []) Reflect.deleteProperty(holder(keys), keys.at(-1)!);
}

function text(json: Json, { append }: Edit): string {
  const whole = JSON.stringify(json);
  return append === undefined ? whole : `${whole.slice(0, -1)},${append}}`;
}

/** Takes a tensor out of the data and moves those behind it up. */
function withoutTensor(header: Json, data: Buffer, name: string): Buffer {
  const [begin, end] = (header[name] as Entry).data_offsets;
  Reflect.deleteProperty(header, name);
  for (const [other, entry] of Object.entries(header)) {
    if (other === '__metadata__') continue;
    const offsets = (entry as Entry).data_offsets;
    if (offsets[0] >= end) offsets.forEach((offset, i) => (offsets[i] = offset - (end - begin)));
  }
  return Buffer.concat([data.subarray(0, begin), data.subarray(end)]);
}

function editWeights(path: string, edit: Edit): void {
  const bytes = readFileSync(path);
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, end)) as Json;
  let data: Buffer = bytes.subarray(end);
  for (const name of edit.drop ?? []) data = withoutTensor(header, data, name);
  change(header, edit);
  const written = Buffer.from(text(header, edit));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(written.length));
  writeFileSync(path, Buffer.concat([length, written, data]));
}

/** Breaks a file of a folder. */
export function breakFile(folder: string, edit: Edit): void {
  const path = join(folder, edit.file);
  if (edit.remove) rmSync(path);
  else if (edit.truncate !== undefined) truncateSync(path, edit.truncate);
  else if (edit.replace !== undefined) writeFileSync(path, readFileSync(path, 'utf8').replace(...edit.replace));
  else if (edit.bytes !== undefined) {
    const bytes = readFileSync(path);
    bytes.write(edit.bytes[1], edit.bytes[0], 'hex');
    writeFileSync(path, bytes);
  } else if (path.endsWith('.safetensors')) editWeights(path, edit);
  else {
    const json = JSON.parse(readFileSync(path, 'utf8')) as Json;
    change(json, edit);
    writeFileSync(path, text(json, edit));
  }
}
