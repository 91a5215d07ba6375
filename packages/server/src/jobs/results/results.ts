/** A place where workers keep samples, by keys such as `0123456789ab/…/0-64.npy`. */
export interface Results {
  /** Keeps bytes under a key, with their digest. Bytes that are there already stay. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Reads the bytes of a key; undefined where there are none, or others than were kept, which are removed. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Tells whether there are bytes of a key, without reading them. */
  has(key: string): Promise<boolean>;
  /** Removes the bytes of keys, of which some may be gone already. It goes on where one cannot be removed, and throws in the end. */
  remove(keys: readonly string[]): Promise<void>;
  close(): void;
}
