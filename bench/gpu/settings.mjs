// What report.mjs tells the script of a stage, and how that answers: rows as lines of JSON on stdout, which are kept as they come,
// exit status 77 with the reason as the last line on stderr when it is skipped.
import { fileURLToPath } from 'node:url';

export const SKIPPED = 77;

/**
 * `quick`: less of everything. `selfTest`: the emulated device in place of a card. `seconds`: when the stage will be ended.
 * `out`: the folder of results. `tests`, `products`, `describeCard`: programs. `python`: what python.mjs has found, or null.
 */
export const settings = {
  quick: false,
  selfTest: false,
  seconds: 600,
  out: '.',
  tests: '',
  products: '',
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
