// Derivatives of the networks of latent diffusion on devices without a card.
import { describe, it } from 'vitest';

import { gradientGoldens } from '../../support/latent-gradients.js';
import { hostDevices } from '../../support/latent-goldens.js';

describe.each(hostDevices)('gradients on $device (exact $exact)', ({ limit: _, ...device }) => {
  it.each(gradientGoldens)('of $of go to $to', async ({ compare }) => {
    await compare({ ...device, threads: 2 }, 5e-5);
  });
});
