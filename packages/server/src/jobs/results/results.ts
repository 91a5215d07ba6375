/** Where workers keep samples, by keys such as `0123456789ab/…/0-64.npy`. */
export interface Results {
  /** Keeps bytes; where there are some under the key these stay. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Undefined: there are none. */
  get(key: string): Promise<Uint8Array | undefined>;
  has(key: string): Promise<boolean>;
  close(): void;
}
