// The moments that samples are compared with.
import { readJson } from './files.mjs';

/**
 * Reads what reference.mjs wrote.
 *
 * @param {string} path
 * @param {string} featuresName - The extractor's name: moments of other features mean nothing.
 * @returns {Promise<{ features: string, data: string, count: number, floor: number, floorCount: number, mean: number[], covariance: number[][] }>}
 */
export async function readReference(path, featuresName) {
  const reference = await readJson(path, 'bench/quality/reference.mjs writes it');
  if (reference.features !== featuresName) {
    throw new Error(
      `${path} holds moments of ${reference.features}, not of ${featuresName}; make others with reference.mjs, the same --features and another --reference`,
    );
  }
  return reference;
}
