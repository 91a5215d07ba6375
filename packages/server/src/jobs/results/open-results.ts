import { DpmError } from 'dpm-native';

import { FileResults } from './results-file.js';
import { openS3 } from './results-s3.js';
import type { Results } from './results.js';

/**
 * Opens the place that a URL names: `file:///folder` or `s3://bucket/prefix?endpoint=…&region=…`.
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
