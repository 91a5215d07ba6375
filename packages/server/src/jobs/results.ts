import { DpmError } from 'dpm-native';

import { FileResults } from './results-file.js';
import { openS3 } from './results-s3.js';

/** Where workers keep samples, by keys such as `0123456789ab/…/0-64.npy`. */
export interface Results {
  /** Keeps bytes; where there are some under the key these stay. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Undefined: there are none. */
  get(key: string): Promise<Uint8Array | undefined>;
  has(key: string): Promise<boolean>;
  close(): void;
}

/**
 * The place that a URL names: `file:///folder` or `s3://bucket/prefix?endpoint=…&region=…`.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` for another URL, `ERR_DPM_FILE` where the folder cannot be written, `ERR_DPM_USAGE` where
 * a package is missing.
 */
export async function openResults(url: string): Promise<Results> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  switch (parsed?.protocol) {
    case 'file:':
      return FileResults.open(parsed);
    case 's3:':
      return openS3(parsed);
    default:
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `results ${url} is no place for samples: file:///folder, s3://bucket/prefix`,
      );
  }
}
