// The rows of the table: which samplers, with which options, at how many steps K.

const few = [5, 10, 25, 50, 100];
const more = [...few, 200];

/**
 * @typedef {object} Row
 * @property {string} id - Name on the command line and in the results.
 * @property {string} label - Name in the table.
 * @property {string} sampler - The library's name of the sampler.
 * @property {object} options - Its options besides `steps`.
 * @property {number[]} steps - The K of its cells.
 */

/** @type {Row[]} */
export const rows = [
  { id: 'euler-maruyama', label: 'Euler-Maruyama', steps: more },
  { id: 'ancestral', label: 'Ancestral', steps: [...more, 1000] },
  { id: 'probability-flow', label: 'Probability flow', steps: more },
  // This row is ancestral but for the limit on the last noise.
  { id: 'ddpm-beta', label: 'DDPM, beta', sampler: 'ddpm', options: { variance: 'beta' } },
  { id: 'ddpm-beta-tilde', label: 'DDPM, beta-tilde', sampler: 'ddpm', options: { variance: 'beta-tilde' } },
  { id: 'ddim', label: 'DDIM' },
  { id: 'ddim-unclipped', label: 'DDIM, not clipped', sampler: 'ddim', options: { clip: 'none' } },
  { id: 'analytic-ddpm', label: 'Analytic-DDPM', steps: [...more, 1000] },
  { id: 'analytic-ddim', label: 'Analytic-DDIM' },
  { id: 'npr-ddpm', label: 'NPR-DDPM', steps: more },
  { id: 'npr-ddim', label: 'NPR-DDIM' },
  { id: 'sn-ddpm', label: 'SN-DDPM', steps: more },
  { id: 'sn-ddim', label: 'SN-DDIM' },
  { id: 'ocm-ddpm', label: 'OCM-DDPM', steps: more },
  { id: 'ocm-ddim', label: 'OCM-DDIM' },
  { id: 'full-ddpm', label: 'Full-covariance DDPM', steps: [5, 10, 25, 50] },
  { id: 'dpm-solver-3', label: 'DPM-Solver-3' },
  { id: 'dpm-solver++-2m', label: 'DPM-Solver++ (2M)' },
  { id: 'unipc', label: 'UniPC' },
].map((row) => ({ sampler: row.id, options: {}, steps: few, ...row }));

function chosenRows(ids) {
  if (ids === undefined) return rows;
  return ids.map((id) => {
    const row = rows.find((each) => each.id === id);
    if (row === undefined) {
      throw new Error(`--rows: '${id}' is not a row; rows: ${rows.map((each) => each.id).join(', ')}`);
    }
    return row;
  });
}

/**
 * The cells to compute, in order of growing K, so that an interrupted table is complete on its left.
 *
 * @param {string[] | undefined} ids - Rows; undefined: all.
 * @param {number[] | undefined} steps - The K of all rows; undefined: each row's own.
 * @returns {{ row: Row, steps: number }[]}
 */
export function cellsOf(ids, steps) {
  const cells = chosenRows(ids).flatMap((row) => (steps ?? row.steps).map((each) => ({ row, steps: each })));
  return cells.sort((a, b) => a.steps - b.steps);
}
