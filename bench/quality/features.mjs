// Feature extractors: modules that export `name` and `open(options)`; see README.md.
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';

import { moments } from './frechet.mjs';

/** Images handed to an extractor at once. */
const block = 100;

/**
 * Opens an extractor.
 *
 * @param {string | undefined} file - Its module; by default the LeNet.
 * @param {{ model?: string }} options - Passed on: the file of --features-model.
 * @returns {Promise<{ name: string, moments(levels: Uint8Array, shape: number[], onProgress?: (done: number, total: number) => void): Promise<object>, close(): Promise<void> }>}
 */
export async function openFeatures(file, options = {}) {
  const url = file === undefined ? new URL('lenet.mjs', import.meta.url) : pathToFileURL(resolve(file));
  const extractor = await importExtractor(url, file ?? 'lenet.mjs');
  const opened = await extractor.open(options);
  return {
    // An extractor for any network is named after the one it got.
    name: opened.name ?? extractor.name,
    moments: (levels, shape, onProgress) => momentsOf(opened, levels, shape, onProgress),
    close: () => opened.close(),
  };
}

async function importExtractor(url, file) {
  let extractor;
  try {
    extractor = await import(url.href);
  } catch (cause) {
    throw new Error(`cannot import the features ${file}: ${cause.message}`, { cause });
  }
  if (typeof extractor.name !== 'string' || typeof extractor.open !== 'function') {
    throw new Error(`${file} is no feature extractor: it has to export name and open()`);
  }
  return extractor;
}

async function momentsOf(opened, levels, [count, ...image], onProgress) {
  const elements = image.reduce((a, b) => a * b);
  const features = new Float64Array(count * opened.dimension);
  for (let first = 0; first < count; first += block) {
    const size = Math.min(block, count - first);
    const part = levels.subarray(first * elements, (first + size) * elements);
    features.set(await opened.features(part, [size, ...image]), first * opened.dimension);
    onProgress?.(first + size, count);
  }
  return moments(features, opened.dimension);
}
