// Derivatives of the networks of latent diffusion on devices without a card.
import { describe, it } from 'vitest';

import {
  expectAutoencoderGradients,
  expectTextGradients,
  expectUNetGradients,
} from '../../support/latent-gradients.js';
import { hostDevices } from '../../support/latent-goldens.js';

const limit = 5e-5;

describe.each(hostDevices)('gradients on $device (exact $exact)', ({ limit: _, ...device }) => {
  const options = { ...device, threads: 2 };

  it('of a conditional U-Net go to weights, states and context', async () => {
    await expectUNetGradients(options, limit);
  });

  it('of a text encoder go to weights and rows of tokens', async () => {
    await expectTextGradients(options, limit);
  });

  it('of both halves of an autoencoder go to weights and to what they read', async () => {
    await expectAutoencoderGradients(options, limit);
  });
});
