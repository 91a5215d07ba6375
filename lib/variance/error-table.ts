import { DpmError } from '../base/errors.js';
import { ConfigReader, isJsonObject } from '../files/config-reader.js';
import { readJson, writeAtomically } from '../files/files.js';

/** How well a network predicts the data at every time, what the costs of jumps with fixed variances need. */
export interface ErrorTable {
  /** Name of the noise schedule. */
  schedule: string;
  /** N. */
  numTrainTimesteps: number;
  /** Images each entry was estimated from. */
  imagesPerStep: number;
  /** e_n = E||x_0 - x0_hat(x_n)||^2 / d of the clipped data prediction for n = 0..N; e_0 is unused. */
  squaredError: Float64Array;
  /**
   * d_n = E[-ln p(x_0 | x0_hat(x_n))] / d in nats for n = 0..N, p the discretised Gaussian decoder of variance V_{1|2} at
   * n = 1 and B_n elsewhere; d_0 is unused.
   */
  decoder: Float64Array;
}

type Code = 'ERR_DPM_CONFIG' | 'ERR_DPM_ARGUMENT';

function checkEntries(where: string, values: ArrayLike<number>, steps: number, code: Code): void {
  if (values.length !== steps + 1) {
    throw new DpmError(
      code,
      `${where} has ${values.length} entries, a schedule of ${steps} steps needs ${steps + 1} (n = 0..N)`,
    );
  }
  const bad = Array.from(values).findIndex((value) => !(Number.isFinite(value) && value >= 0));
  if (bad >= 0) throw new DpmError(code, `${where} entry ${bad} is ${values[bad]}, it has to be a number not below 0`);
}

/**
 * Checks that a table fits a schedule of `steps` times.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the part that is wrong.
 */
export function checkErrorTable(table: ErrorTable, steps: number): void {
  checkEntries('squaredError', table.squaredError, steps, 'ERR_DPM_ARGUMENT');
  checkEntries('decoder', table.decoder, steps, 'ERR_DPM_ARGUMENT');
}

/**
 * An error table from parsed JSON.
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
  return parseErrorTable(await readJson(path), path);
}

/** Writes `costs.json`; a failure leaves what was there before. */
export async function writeErrorTable(path: string, table: ErrorTable): Promise<void> {
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
