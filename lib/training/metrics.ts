import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

import { DpmError } from '../base/errors.js';
import { isJsonObject } from '../files/config-reader.js';
import { fileError, withFile } from '../files/files.js';
import { parseJson } from '../files/parse-json.js';

/** Name of the file of metrics in the folder of a run. */
export const metricsName = 'metrics.jsonl';

/** Maximum length in bytes of a line that is read. */
const MOST_LINE_BYTES = 65_536;

/** Numbers of one step of training. */
export interface StepMetrics {
  /** Number of steps done, this one included. */
  readonly step: number;
  /** Mean loss of the batch. */
  readonly loss: number;
  /** Norm of the gradient of all weights, before clipping. */
  readonly gradientNorm: number;
  /** Share of the images whose class a classifier has told; absent: none learns. */
  readonly accuracy?: number;
  /** Learning rate. */
  readonly rate: number;
  /** What the average kept of itself. */
  readonly averageDecay: number;
  /** Images a second. */
  readonly imagesPerSecond: number;
  /** Seconds of training since the run began, without pauses. */
  readonly seconds: number;
}

/** Writes metrics as one line of JSON; numbers that are not finite become null, as JSON has none. */
export function metricsLine(metrics: StepMetrics): string {
  const { step, loss, gradientNorm, accuracy, rate, averageDecay, imagesPerSecond, seconds } = metrics;
  return `${JSON.stringify({ step, loss, gradientNorm, accuracy, rate, averageDecay, imagesPerSecond, seconds })}\n`;
}

/** What is read of a line: its step, and its loss, NaN if it was not finite. */
export interface RecordedLoss {
  readonly step: number;
  readonly loss: number;
}

/** A line of a file. */
interface Line {
  readonly text: string;
  /** Number of the line, from 1. */
  readonly number: number;
  /** Position in the file behind it, in bytes. */
  readonly end: number;
}

function invalidLine(path: string, number: number, problem: string, cause?: unknown): DpmError {
  return new DpmError('ERR_DPM_CONFIG', `${path}: line ${number} ${problem}`, { cause });
}

/** Whole lines one after the other; what a process that was killed has left of its last one is none. */
async function* linesOf(path: string): AsyncGenerator<Line> {
  let [rest, number, end] = [Buffer.alloc(0), 0, 0];
  for await (const part of createReadStream(path) as AsyncIterable<Buffer>) {
    let bytes = Buffer.concat([rest, part]);
    for (let length = bytes.indexOf(10); length >= 0; length = bytes.indexOf(10)) {
      end += length + 1;
      yield { text: bytes.toString('utf8', 0, length), number: ++number, end };
      bytes = bytes.subarray(length + 1);
    }
    if (bytes.length > MOST_LINE_BYTES) throw invalidLine(path, number + 1, `is longer than ${MOST_LINE_BYTES} bytes`);
    rest = bytes;
  }
}

function parseLine(path: string, { text, number }: Line, before: number): RecordedLoss {
  const invalid = (problem: string, cause?: unknown): DpmError => invalidLine(path, number, problem, cause);
  const json = parseJson(text, invalid);
  if (!isJsonObject(json)) throw invalid('is not a JSON object');
  const { step, loss } = json;
  if (!Number.isSafeInteger(step) || Number(step) < 1) throw invalid('has no step, an integer from 1');
  if (loss !== null && typeof loss !== 'number') throw invalid('has no loss, a number or null');
  if (Number(step) <= before) throw invalid(`has step ${Number(step)} after step ${before}`);
  return { step: Number(step), loss: loss ?? NaN };
}

/**
 * Reads the losses of a file of metrics. A last line without its end is left out: its writer was killed, or is writing it.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if the file cannot be read, `ERR_DPM_CONFIG` naming a line that is none of metrics,
 * or whose step does not follow.
 */
export async function readLosses(path: string): Promise<RecordedLoss[]> {
  // Pipes and folders are refused before they are waited for.
  await withFile(path, () => Promise.resolve());
  const losses: RecordedLoss[] = [];
  for await (const line of linesOf(path)) losses.push(parseLine(path, line, losses.at(-1)?.step ?? 0));
  return losses;
}

/**
 * Computes means over `window` consecutive losses each, at the last of their steps; those of the last window may be fewer.
 * Losses that are not finite do not count, and a window of such alone is NaN.
 */
export function meanLosses(losses: readonly RecordedLoss[], window: number): [step: number, mean: number][] {
  const means: [number, number][] = [];
  for (let first = 0; first < losses.length; first += window) {
    const part = losses.slice(first, first + window);
    const finite = part.filter(({ loss }) => Number.isFinite(loss));
    const sum = finite.reduce((total, { loss }) => total + loss, 0);
    means.push([part.at(-1)?.step ?? 0, sum / finite.length]);
  }
  return means;
}

/** Finds the end of the last line up to a step; lines from the first on that is none are not counted. */
async function endOfStep(path: string, last: number): Promise<{ step: number; end: number }> {
  let found = { step: 0, end: 0 };
  try {
    for await (const line of linesOf(path)) {
      const { step } = parseLine(path, line, found.step);
      if (step > last) break;
      found = { step, end: line.end };
    }
  } catch (error) {
    // What a crash of the machine leaves of a file need not be lines; they are written anew.
    if (!(error instanceof DpmError)) throw error;
  }
  return found;
}

/** File of metrics that is written one line at a time. */
export class MetricsFile implements AsyncDisposable {
  private constructor(
    readonly path: string,
    private readonly file: FileHandle,
    /** Last step of the lines that are in the file. */
    readonly lastStep: number,
  ) {}

  /**
   * Opens a file of metrics to go on behind the line of a step: later lines, and damaged ones, are cut off. A file that is
   * not there is made.
   *
   * @param step - Number of steps done; 0 for a new run.
   * @throws {@link DpmError} `ERR_DPM_FILE`.
   */
  static async open(path: string, step: number): Promise<MetricsFile> {
    let file: FileHandle | undefined;
    try {
      file = await open(path, 'a');
      const found = await endOfStep(path, step);
      if ((await file.stat()).size !== found.end) await file.truncate(found.end);
      return new MetricsFile(path, file, found.step);
    } catch (cause) {
      await file?.close();
      throw fileError('write', path, cause);
    }
  }

  /** Adds a line. @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be written, as on a full disk. */
  async add(metrics: StepMetrics): Promise<void> {
    await this.file.appendFile(metricsLine(metrics)).catch((cause: unknown) => {
      throw fileError('write', this.path, cause);
    });
  }

  /** Makes all lines survive a crash of the machine. @throws {@link DpmError} `ERR_DPM_FILE`. */
  async sync(): Promise<void> {
    await this.file.sync().catch((cause: unknown) => {
      throw fileError('write', this.path, cause);
    });
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
