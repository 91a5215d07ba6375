import type { CommandGroup } from './command.js';
import { plotElboCommand } from './plot/elbo.js';
import { plotGammaCommand } from './plot/gamma.js';
import { plotLossCommand } from './plot/loss.js';
import { plotQualityCommand } from './plot/quality.js';
import { plotStripCommand } from './plot/strip.js';
import { plotVarianceCommand } from './plot/variance.js';

export const plotCommands: CommandGroup = {
  name: 'plot',
  summary: 'Draws charts (SVG) and denoising strips (PNG): variance, gamma, quality, strip, elbo, loss.',
  commands: {
    variance: plotVarianceCommand,
    gamma: plotGammaCommand,
    quality: plotQualityCommand,
    strip: plotStripCommand,
    elbo: plotElboCommand,
    loss: plotLossCommand,
  },
};
