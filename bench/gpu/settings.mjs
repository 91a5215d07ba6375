// The settings that report.mjs gives to the script of a stage. The script answers with rows as lines of JSON on stdout, kept as they come,
// or with exit status 77 and the reason as the last line on stderr when it is skipped.
import { fileURLToPath } from 'node:url';

export const SKIPPED = 77;

/**
 * `quick`: less of everything. `selfTest`: the emulated device in place of a card. `seconds`: when the stage will be ended.
 * `out`: the folder of results. `tests`, `products`, `operations`, `describeCard`: programs. `python`: what python.mjs has found, or null.
 */
export const settings = {
  quick: false,
  selfTest: false,
  seconds: 600,
  out: '.',
  tests: '',
  products: '',
  operations: '',
  describeCard: '',
  python: null,
  ...JSON.parse(process.env.DPM_GPU_CHECK ?? '{}'),
};

export const packagePath = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export function printRow(row) {
  console.log(JSON.stringify(row));
}

export function skip(reason) {
  console.error(reason);
  process.exit(SKIPPED);
}

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
