// The samplers of the table. Samplers of the SDE run without clipping, the others clip the data prediction to the data's range.

const stochastic = { clip: 'static', lastNoiseClip: 2 };
const largeOrDeterministic = { clip: 'static', lastNoiseClip: 1 };

/** @type {{ id: string, label: string, sampler: string, options: object }[]} */
export const rows = [
  { id: 'euler-maruyama', label: 'Euler-Maruyama', options: {} },
  { id: 'ancestral', label: 'Ancestral', options: largeOrDeterministic },
  { id: 'probability-flow', label: 'Probability flow', options: {} },
  { id: 'analytic-ddpm', label: 'Analytic-DDPM', options: stochastic },
  { id: 'npr-ddpm', label: 'NPR-DDPM', options: stochastic },
  { id: 'sn-ddpm', label: 'SN-DDPM', options: stochastic },
  {
    id: 'ddpm-beta-tilde',
    label: 'DDPM, beta-tilde',
    sampler: 'ddpm',
    options: { ...stochastic, variance: 'beta-tilde' },
  },
  { id: 'ddim', label: 'DDIM', options: largeOrDeterministic },
  { id: 'analytic-ddim', label: 'Analytic-DDIM', options: largeOrDeterministic },
  { id: 'npr-ddim', label: 'NPR-DDIM', options: largeOrDeterministic },
  { id: 'sn-ddim', label: 'SN-DDIM', options: largeOrDeterministic },
].map((row) => ({ sampler: row.id, ...row }));
