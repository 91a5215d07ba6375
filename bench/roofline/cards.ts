import { usageError } from '../../lib/cli/usage-error.js';

/** The rates of a card: what it can do in a second. */
export interface Rates {
  /** FLOP of bfloat16 products with float32 sums, without sparsity. */
  bf16: number;
  /** FLOP of TF32 products, without sparsity. */
  tf32: number;
  /** FLOP of float32 outside the tensor cores. */
  f32: number;
  /** Bytes that it reads and writes. */
  bytes: number;
}

/** The unit whose rate limits a kernel's products. */
export type Unit = Exclude<keyof Rates, 'bytes'>;

export interface Card {
  name: string;
  title: string;
  multiprocessors: number;
  /** Instructions of a warp that a multiprocessor starts in a second: four a cycle. */
  issue: number;
  /** The rates of the vendor's data sheet. */
  sheet: Rates;
  /** The rates that large products and copies reach: bfloat16 and bytes as measured, the rest in the same proportion to the sheet. */
  ceiling: Rates;
}

/** The rates measured in large bfloat16 products (FLOP/s) and in a copy (bytes/s). */
interface Measured {
  bf16: number;
  bytes: number;
}

const hopper = { bf16: 989.5e12, tf32: 494.7e12, f32: 66.9e12 };
const sheets = {
  a100: { bf16: 312e12, tf32: 156e12, f32: 19.5e12, bytes: 2.039e12 },
  h100: { ...hopper, bytes: 3.35e12 },
  h200: { ...hopper, bytes: 4.8e12 },
};
const measuredH100: Measured = { bf16: 790e12, bytes: 3.0e12 };
const measuredH200: Measured = { bf16: 785e12, bytes: 4.3e12 };

function scaled(sheet: Rates, reference: Rates, measured: Measured): Rates {
  const products = measured.bf16 / reference.bf16;
  return {
    bf16: sheet.bf16 * products,
    tf32: sheet.tf32 * products,
    f32: sheet.f32 * products,
    bytes: sheet.bytes * (measured.bytes / reference.bytes),
  };
}

const cores = {
  a100: { multiprocessors: 108, issue: 4 * 1.41e9 },
  h100: { multiprocessors: 132, issue: 4 * 1.755e9 },
  h200: { multiprocessors: 132, issue: 4 * 1.755e9 },
};

function card(name: keyof typeof sheets, title: string, reference: Rates, measured: Measured): Card {
  return { name, title, ...cores[name], sheet: sheets[name], ceiling: scaled(sheets[name], reference, measured) };
}

/** The cards a roofline is computed for. The A100's ceiling is its sheet in the proportions measured on the H100. */
export const cards: readonly Card[] = [
  card('a100', 'A100 SXM 80 GB', sheets.h100, measuredH100),
  card('h100', 'H100 SXM', sheets.h100, measuredH100),
  card('h200', 'H200 SXM', sheets.h200, measuredH200),
];

/**
 * Finds the card with a name.
 *
 * @throws {@link DpmError} `ERR_DPM_USAGE` when there is none.
 */
export function findCard(name: string): Card {
  const found = cards.find((each) => each.name === name);
  if (found !== undefined) return found;
  throw usageError(`--card has '${name}', known: ${cards.map((each) => each.name).join(', ')}`);
}
