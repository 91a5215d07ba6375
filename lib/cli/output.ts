import { AsyncLocalStorage } from 'node:async_hooks';
import type { Writable } from 'node:stream';

import { Presets, SingleBar } from 'cli-progress';

/** Output streams of a command. */
export interface Streams {
  readonly stdout: Writable;
  readonly stderr: Writable;
}

const ownStreams = new AsyncLocalStorage<Streams>();

/** Gives the streams of the running command: its own, else the process's. */
export function streams(): Streams {
  return ownStreams.getStore() ?? process;
}

/** Runs work whose output goes to other streams than the process's. */
export function withStreams<T>(own: Streams, work: () => T): T {
  return ownStreams.run(own, work);
}

/** Writes a number and the name of what it counts, in the plural where it is not one. */
export function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

/** Writes a line to standard output. */
export function printLine(line: string): void {
  streams().stdout.write(`${line}\n`);
}

/** Writes a line beside the result, to standard error. */
export function printNote(line: string): void {
  streams().stderr.write(`${line}\n`);
}

/** Writes a value as one line of JSON to standard output. */
export function printJson(value: unknown): void {
  printLine(JSON.stringify(value));
}

/** Prints rows of cells with aligned columns. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  for (const row of rows)
    printLine(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

/** Writes to standard output, for commands of other packages. */
export interface Output {
  line(text: string): void;
  json(value: unknown): void;
  table(rows: readonly (readonly string[])[]): void;
}

export const output: Output = { line: printLine, json: printJson, table: printTable };

/** Display of the progress of long work, on standard error if that is a terminal. */
export interface Progress {
  /** @param note - What else is told of the work, as its loss. */
  readonly update: (done: number, total: number, note?: string) => void;
  readonly stop: () => void;
}

/** Makes a progress bar; silent for machines and without a terminal. */
export function progressBar(label: string, json: boolean): Progress {
  const { stderr } = streams();
  if (json || !('isTTY' in stderr) || stderr.isTTY !== true) return { update: () => undefined, stop: () => undefined };
  const format = `${label} {bar} {percentage}% | {value}/{total} | {note}{eta_formatted} left`;
  const bar = new SingleBar(
    // The rest is estimated from that many last steps: from a few it jumps.
    { format, stream: stderr, hideCursor: true, clearOnComplete: true, etaBuffer: 100 },
    Presets.shades_classic,
  );
  let started = false;
  return {
    update(done, total, note = '') {
      const payload = { note: note === '' ? '' : `${note} | ` };
      if (!started) bar.start(total, done, payload);
      else bar.update(done, payload);
      started = true;
    },
    stop() {
      if (started) bar.stop();
    },
  };
}

/** Units of bytes; each is 1024 of the one before it. */
export const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A number of bytes for people. */
export function formatBytes(bytes: number): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), byteUnits.length - 1);
  return `${(bytes / 2 ** (10 * power)).toFixed(power === 0 ? 0 : 1)} ${byteUnits[power] ?? ''}`;
}
