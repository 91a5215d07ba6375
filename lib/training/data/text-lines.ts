import type { FileHandle } from 'node:fs/promises';

import { DpmError } from '../../base/errors.js';
import { withFile } from '../../files/files.js';

/** Bytes that are read at once. */
const READ_BYTES = 65_536;

const LINE_FEED = 10;

/** A line of a file. */
export interface TextLine {
  readonly text: string;
  /** Number of the line, from 1. */
  readonly number: number;
}

/** Makes the error for a line that is not what it has to be. */
export function invalidLine(path: string, number: number, problem: string, cause?: unknown): DpmError {
  return new DpmError('ERR_DPM_CONFIG', `${path}: line ${number} ${problem}`, { cause });
}

/** Takes the parts of a file, and gives its lines. */
class LineReader {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #parts: Buffer[] = [];
  #length = 0;
  #number = 1;

  constructor(
    private readonly path: string,
    private readonly mostBytes: number,
  ) {}

  /** Lines that end in this part of the file. */
  *add(bytes: Buffer): Generator<TextLine> {
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      this.#keep(bytes.subarray(start, end));
      yield this.#line();
      start = end + 1;
    }
    this.#keep(bytes.subarray(start));
  }

  /** The last line, which need not end with a line feed. */
  *end(): Generator<TextLine> {
    if (this.#length > 0) yield this.#line();
  }

  #keep(bytes: Buffer): void {
    this.#length += bytes.length;
    if (this.#length > this.mostBytes) {
      throw invalidLine(this.path, this.#number, `is longer than ${this.mostBytes} bytes`);
    }
    // A copy, as the next part of the file takes the place of this one.
    if (bytes.length > 0) this.#parts.push(Buffer.from(bytes));
  }

  #line(): TextLine {
    const [bytes, number] = [Buffer.concat(this.#parts), this.#number++];
    [this.#parts, this.#length] = [[], 0];
    try {
      return { text: this.#decoder.decode(bytes), number };
    } catch (cause) {
      throw invalidLine(this.path, number, 'is not text in UTF-8', cause);
    }
  }
}

async function readLines(file: FileHandle, reader: LineReader, use: (line: TextLine) => void): Promise<void> {
  const buffer = Buffer.alloc(READ_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, READ_BYTES);
    if (bytesRead === 0) break;
    for (const line of reader.add(buffer.subarray(0, bytesRead))) use(line);
  }
  for (const line of reader.end()) use(line);
}

/**
 * Reads a file of text in UTF-8 line by line, so that no more than a line of it is in memory.
 *
 * @param mostBytes - Most bytes of a line.
 * @param use - Takes each line, without the line feed behind it; one of white space alone, too.
 * @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be read, `ERR_DPM_CONFIG` naming the file and the line that is too long or
 * not UTF-8; a DpmError of `use` passes unchanged.
 */
export async function forEachLine(path: string, mostBytes: number, use: (line: TextLine) => void): Promise<void> {
  await withFile(path, (file) => readLines(file, new LineReader(path, mostBytes), use));
}
