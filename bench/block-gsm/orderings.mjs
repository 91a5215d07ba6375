// The orderings that published comparisons on images have, as far as exact predictions can show them.

/** Each ordering says `left > factor * right`. A list on the right counts as its largest or smallest value, as `of` says. */
const claims = [
  { steps: 10, left: 'euler-maruyama', factor: 1.5, right: ['ancestral'] },
  { steps: 10, left: 'ancestral', factor: 1.5, right: ['probability-flow'] },
  { steps: 10, left: 'probability-flow', factor: 2, right: ['analytic-ddpm'] },
  { steps: 10, left: 'analytic-ddpm', factor: 0.97, right: ['npr-ddpm', 'sn-ddpm'], of: Math.min },
  { steps: 25, left: 'analytic-ddpm', factor: 1.4, right: ['npr-ddpm', 'sn-ddpm'], of: Math.max },
  { steps: 25, left: 'probability-flow', factor: 1.5, right: ['analytic-ddpm'] },
  { steps: 25, left: 'ancestral', factor: 5, right: ['probability-flow'] },
];

function textOf({ steps, left, factor, right, of }, label) {
  const names = right.map(label).join(', ');
  return `K = ${steps}: ${label(left)} > ${factor} ${of === undefined ? names : `${of.name}(${names})`}`;
}

/**
 * Finds which orderings hold.
 *
 * @param {(row: string, steps: number) => number | undefined} distance - The distance of a cell; undefined where it was not computed.
 * @param {(row: string) => string} label
 * @returns {{ text: string, holds: boolean | null }[]} Null: a cell is missing.
 */
export function checkOrderings(distance, label) {
  return claims.map((claim) => {
    const left = distance(claim.left, claim.steps);
    const right = claim.right.map((row) => distance(row, claim.steps));
    const known = [left, ...right].every((value) => value !== undefined);
    return {
      text: textOf(claim, label),
      holds: known ? left > claim.factor * (claim.of ?? Math.max)(...right) : null,
    };
  });
}
