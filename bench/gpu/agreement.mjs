// Checks whether outputs of the card agree with others, and makes rows of that.
import { printRow } from './settings.mjs';

/** The arithmetics with limits on the largest difference, relative to the largest value or one, and for bf16 on the relative L2. */
export const arithmetics = [
  { name: 'f32 exact', options: { dtype: 'f32', exact: true }, largest: 2e-5 },
  { name: 'f32', options: { dtype: 'f32' }, largest: 5e-5 },
  { name: 'f32, tf32', options: { dtype: 'f32', tf32: true }, largest: 5e-3 },
  { name: 'f16', options: { dtype: 'f16' }, largest: 5e-3 },
  { name: 'bf16', options: { dtype: 'bf16' }, largest: 3e-2, l2: 2e-2 },
];

/** The limits for computations that magnify roundings. */
export const wider = ({ largest, l2, ...rest }) => ({ ...rest, largest: 3 * largest, l2: l2 && 3 * l2 });

/** Draws normal numbers, always the same ones. */
export function normals(length) {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return new Float32Array(length).map(() => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// NaN must not get lost in a maximum.
const largestOf = (values) => values.reduce((most, value) => (Number.isNaN(most) || value <= most ? most : value), 0);

function largestDifference(actual, expected) {
  const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  return largestOf(actual.map((value, i) => Math.abs(value - expected[i]))) / size;
}

function relativeL2(actual, expected) {
  const squares = (values) => values.reduce((sum, value) => sum + value * value, 0);
  const differences = Float64Array.from(actual, (value, i) => value - expected[i]);
  return Math.sqrt(squares(differences) / squares(Float64Array.from(expected)));
}

export class Agreement {
  #problems = [];

  /** Makes rows of pairs, each of an output of the card and the expected one. */
  compare(subject, { name, largest, l2 }, pairs) {
    this.#report(subject, name, 'largest', largestOf(pairs.map(([a, b]) => largestDifference(a, b))), largest);
    if (l2 !== undefined) this.#report(subject, name, 'L2', largestOf(pairs.map(([a, b]) => relativeL2(a, b))), l2);
  }

  /** Runs the comparison of a subject. If it fails, those of other subjects go on. */
  async attempt(subject, compare) {
    try {
      await compare();
    } catch (error) {
      console.error(error);
      this.#problems.push(`${subject}: ${error.message}`);
    }
  }

  /** Prints the disagreements, and sets the exit status if there are any. */
  conclude() {
    if (this.#problems.length === 0) return;
    console.error(`${this.#problems.length} disagree: ${this.#problems.slice(0, 5).join('; ')}`);
    process.exitCode = 1;
  }

  #report(subject, arithmetic, measure, value, tolerance) {
    const passed = value <= tolerance;
    if (!passed) this.#problems.push(`${subject}, ${arithmetic}, ${measure}: ${value}`);
    printRow({ subject, arithmetic, measure, value, tolerance, passed });
  }
}
