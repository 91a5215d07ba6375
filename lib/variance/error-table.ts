import { DpmError } from '../base/errors.js';
import { kinds, requireKind } from '../base/option-kinds.js';
import { ConfigReader, isJsonObject } from '../files/config-reader.js';
import { readJson, writeAtomically } from '../files/files.js';
import { checkEntries } from './entries.js';

/** Errors of a network's data prediction at every time, for the costs of jumps with fixed variances. */
export interface ErrorTable {
  /** Name of the noise schedule. */
  schedule: string;
  /** Number of times N. */
  numTrainTimesteps: number;
  /** Number of images each entry was estimated from. */
  imagesPerStep: number;
  /** Error e_n = E||x_0 - x0_hat(x_n)||^2 / d of the clipped data prediction for n = 0..N; e_0 is unused. */
  squaredError: Float64Array;
  /**
   * Decoder cost d_n = E[-ln p(x_0 | x0_hat(x_n))] / d in nats for n = 0..N, p the discretised Gaussian decoder of
   * variance V_{1|2} at n = 1 and B_n elsewhere; d_0 is unused.
   */
  decoder: Float64Array;
}

/**
 * Checks that a table fits a schedule of `steps` times.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong part.
 */
export function checkErrorTable(table: ErrorTable, steps: number): void {
  requireKind('the table of errors', table, kinds.object);
  checkEntries('squaredError', table.squaredError, steps, 'ERR_DPM_ARGUMENT');
  checkEntries('decoder', table.decoder, steps, 'ERR_DPM_ARGUMENT');
}

/**
 * Makes an error table from parsed JSON.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming `source` and the field.
 */
export function parseErrorTable(json: unknown, source: string): ErrorTable {
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${source}: an error table is a JSON object`);
  const config = new ConfigReader(json, source);
  const numTrainTimesteps = config.integer('num_train_timesteps', undefined, { least: 2, most: 1_000_000 });
  const entries = (name: string): Float64Array => {
    const values = config.numbersOrNull(name);
    if (values === null) throw config.error(name, 'an array of numbers');
    checkEntries(`${source}: ${name}`, values, numTrainTimesteps, 'ERR_DPM_CONFIG');
    return Float64Array.from(values);
  };
  return {
    schedule: config.string('schedule'),
    numTrainTimesteps,
    imagesPerStep: config.integer('images_per_step', undefined, { least: 1, most: Number.MAX_SAFE_INTEGER }),
    squaredError: entries('squared_error'),
    decoder: entries('decoder'),
  };
}

/**
 * Reads `costs.json`.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` or `ERR_DPM_CONFIG` naming the file and the field.
 */
export async function readErrorTable(path: string): Promise<ErrorTable> {
  requireKind('the path', path, kinds.string);
  return parseErrorTable(await readJson(path), path);
}

/** Writes `costs.json`; a failure leaves an earlier file unchanged. */
export async function writeErrorTable(path: string, table: ErrorTable): Promise<void> {
  requireKind('the path', path, kinds.string);
  requireKind('the table of errors', table, kinds.object);
  requireKind('schedule', table.schedule, kinds.string);
  requireKind('numTrainTimesteps', table.numTrainTimesteps, kinds.positiveInteger);
  requireKind('imagesPerStep', table.imagesPerStep, kinds.positiveInteger);
  checkErrorTable(table, table.numTrainTimesteps);
  const json = {
    schedule: table.schedule,
    num_train_timesteps: table.numTrainTimesteps,
    images_per_step: table.imagesPerStep,
    squared_error: Array.from(table.squaredError),
    decoder: Array.from(table.decoder),
  };
  await writeAtomically(path, [JSON.stringify(json) + '\n']);
}
