// Options that several commands here share.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));

export const defaults = {
  model: fileURLToPath(new URL('../../models/mnist', import.meta.url)),
  reference: here('reference.json'),
  results: here('results.json'),
};

/** Options that choose the features. */
export const featureOptions = {
  features: { type: 'string' },
  'features-model': { type: 'string' },
  reference: { type: 'string', default: defaults.reference },
};

export const featureUsage = `\
  --features FILE        module of a feature extractor; default the LeNet in mnist-lenet/ (README.md)
  --features-model FILE  network for an extractor that takes one, e.g. onnx-features.mjs
  --reference FILE       moments of the data's features; default bench/quality/reference.json`;

/** An integer option from `least`; `text` undefined: undefined. */
export function integer(name, text, least = 1) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new Error(`--${name} is '${text}', it has to be an integer from ${least}`);
  }
  return value;
}

/** The items of an option that lists some, separated by commas; undefined: undefined. */
export const list = (text) => text?.split(',').map((item) => item.trim());

/** Options of the command line; prints the usage and ends where it is asked for. */
export function parseOptions(usage, options) {
  const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h' } } });
  if (values.help) {
    console.log(usage);
    process.exit();
  }
  return values;
}

/** Refuses options of the command line without those that it cannot do without. */
export function requireOptions(given, ...names) {
  const missing = names.find((name) => given[name] === undefined);
  if (missing !== undefined) throw new Error(`--${missing} is missing`);
}

/** Runs a command; a failure is one line. */
export async function command(main) {
  try {
    await main();
  } catch (error) {
    console.error(`error: ${error.message}`);
    if (process.env.DPM_DEBUG === '1') console.error(error.stack);
    process.exitCode = 1;
  }
}
