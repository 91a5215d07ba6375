import { PbfWriter } from 'pbf';

/** A picture as TensorBoard shows it. */
export interface EventPicture {
  readonly png: Uint8Array;
  readonly height: number;
  readonly width: number;
  /** Number of channels: 1 or 3. */
  readonly channels: number;
}

/** What is known of a step by a name, its tag. */
export type EventValue = readonly [tag: string, value: number | EventPicture];

/** What an event says: the version of its file, that a run begins or goes on, or values of a step. */
export type EventContent =
  { readonly version: string } | { readonly starts: true } | { readonly values: readonly EventValue[] };

/** An event of a run. */
export interface RunEvent {
  /** Seconds since 1970. */
  readonly time: number;
  readonly step: number;
  readonly content: EventContent;
}

/** `SessionLog.START`. */
const START = 1;

function writePicture({ png, height, width, channels }: EventPicture, pbf: PbfWriter): void {
  pbf.writeVarintField(1, height);
  pbf.writeVarintField(2, width);
  // The numbers of colour spaces are those of their channels.
  pbf.writeVarintField(3, channels);
  pbf.writeBytesField(4, png);
}

function writeValue([tag, value]: EventValue, pbf: PbfWriter): void {
  pbf.writeStringField(1, tag);
  if (typeof value === 'number') pbf.writeFloatField(2, value);
  else pbf.writeMessage(4, writePicture, value);
}

function writeSummary(values: readonly EventValue[], pbf: PbfWriter): void {
  for (const value of values) pbf.writeMessage(1, writeValue, value);
}

function writeStart(status: number, pbf: PbfWriter): void {
  pbf.writeVarintField(1, status);
}

/** Encodes an event as a message `tensorflow.Event` (`tensorflow/core/util/event.proto`, `summary.proto`). */
export function encodeEvent({ time, step, content }: RunEvent): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeDoubleField(1, time);
  if (step !== 0) pbf.writeVarintField(2, step);
  if ('version' in content) pbf.writeStringField(3, content.version);
  else if ('values' in content) pbf.writeMessage(5, writeSummary, content.values);
  else pbf.writeMessage(7, writeStart, START);
  return pbf.finish();
}
