/** Work that is done at once, as it takes less than crossing to another thread and back. */
export interface InLine {
  /** Images of an answer. */
  readonly images: number;
  /** Elements of all these images. */
  readonly elements: number;
  /** Bytes of JSON of a request. */
  readonly bytes: number;
  /** Numbers of an answer. */
  readonly numbers: number;
}

/** How long clients may take, and the event loop. A server has {@link limits}; tests have less patience. */
export interface Limits {
  /** Milliseconds until the header of a request has come. */
  readonly header: number;
  /** Milliseconds until all of it has come. */
  readonly request: number;
  /** Milliseconds between two looks at the requests that are coming. */
  readonly check: number;
  /** Milliseconds after which an answer that nobody reads on is given up; up to twice as long where some of it has been read. */
  readonly stall: number;
  /** What the event loop does itself. */
  readonly inLine: InLine;
}

/** The limits of every server. */
export const limits: Limits = {
  header: 10_000,
  request: 30_000,
  check: 1000,
  stall: 60_000,
  inLine: { images: 4, elements: 4 * 32 * 32 * 3, bytes: 65_536, numbers: 4096 },
};
