/** Limits up to which the event loop does work itself, as sending it to another thread would take longer. */
export interface InLine {
  /** The number of images of an answer. */
  readonly images: number;
  /** The number of elements of all these images. */
  readonly elements: number;
  /** Bytes of JSON of a request. */
  readonly bytes: number;
  /** The count of numbers in an answer. */
  readonly numbers: number;
  /** Bytes of a picture of a request. */
  readonly picture: number;
}

/** Limits on the time that clients and the event loop may take. Servers use {@link limits}; tests use shorter ones. */
export interface Limits {
  /** Milliseconds until the header of a request has come. */
  readonly header: number;
  /** Milliseconds until all of it has come. */
  readonly request: number;
  /** Milliseconds between two looks at the requests that are coming. */
  readonly check: number;
  /** Milliseconds after which an unread answer is given up. It may take twice as long if some of the answer has been read. */
  readonly stall: number;
  /** The work that the event loop does itself. */
  readonly inLine: InLine;
}

/** The limits of every server. */
export const limits: Limits = {
  header: 10_000,
  request: 30_000,
  check: 1000,
  stall: 60_000,
  inLine: { images: 4, elements: 4 * 32 * 32 * 3, bytes: 65_536, numbers: 4096, picture: 16_384 },
};
