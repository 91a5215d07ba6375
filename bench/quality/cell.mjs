// One cell of the table: samples of a sampler at K steps, and their distance from the data.
import { samplers } from '../../dist/index.js';
import { digits } from './files.mjs';
import { frechetDistance } from './frechet.mjs';

/** Network evaluations a sample takes, or null when the sampler decides that while it runs. */
function evaluationsOf(model, { sampler, options }, steps) {
  const needsGamma = sampler.startsWith('analytic-');
  const program = samplers[sampler](model.schedule, {
    ...options,
    steps,
    ...(needsGamma && { gamma: model.gamma }),
  });
  return program.kind === 'step' ? program.records.filter((record) => record.evaluate).length : null;
}

/**
 * Draws samples, as 8-bit images, and scores them.
 *
 * @param {import('../../dist/index.js').DiffusionModel} model
 * @param {{ moments: Function }} features - The result of `openFeatures`.
 * @param {{ mean: number[], covariance: number[][] }} reference - The moments of the data.
 * @param {{ row: import('./rows.mjs').Row, steps: number }} cell
 * @param {{ samples: number, seed: number, batch: number, signal?: AbortSignal, onProgress?: Function }} run
 */
export async function computeCell(model, features, reference, { row, steps }, run) {
  const { samples, seed, batch, signal, onProgress } = run;
  const started = performance.now();
  const { images } = await model.sample({
    sampler: row.sampler,
    ...row.options,
    steps,
    count: samples,
    seed,
    batch,
    signal,
    onProgress,
  });
  const seconds = (performance.now() - started) / 1000;
  const found = await features.moments(images.toUint8(), [...images.shape]);
  return {
    row: row.id,
    label: row.label,
    sampler: row.sampler,
    options: row.options,
    steps,
    samples,
    seed,
    evaluations: evaluationsOf(model, row, steps),
    frechet: digits(frechetDistance(found, reference)),
    seconds: digits(seconds, 3),
  };
}
