import { estimateGamma } from '../estimation/gamma-estimate.js';
import { writeGammaTable } from '../variance/gamma.js';
import { estimateCommand } from './estimate-command.js';

export const gammaCommand = estimateCommand({
  name: 'gamma',
  summary: 'Estimates the table m_n = E||eps||^2 / d of the analytic samplers from images.',
  images: 'uint8 or float32 in [-1, 1]',
  enough: '10 to 100 are enough',
  columns: 'm_n',
  estimate: estimateGamma,
  write: writeGammaTable,
});
