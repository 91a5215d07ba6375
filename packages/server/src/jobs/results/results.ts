/** A place where workers keep samples, by keys such as `0123456789ab/…/0-64.npy`. */
export interface Results {
  /** Keeps bytes under a key. Bytes that are there already stay. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Reads the bytes of a key; undefined where there are none. */
  get(key: string): Promise<Uint8Array | undefined>;
  has(key: string): Promise<boolean>;
  close(): void;
}
