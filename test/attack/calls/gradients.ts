// Calls that differentiate weights, on a small network of a device that has the gradients.
import type * as dpm from '../../../lib/index.js';
import type { PublicCall } from '../attack.js';
import { of } from './of.js';

/** @param unet - A class-conditional network. */
export function gradientCalls(unet: dpm.UNet): PublicCall[] {
  const { inChannels, outChannels, height, width } = unet.info;
  const [tensor = ''] = unet.tensors.keys();
  return [
    of('UNet.gradients', (x: never, t: never, options: never) => unet.gradients(x, t, options), [
      new Float32Array(inChannels * height * width),
      1,
      { classLabels: [0], cotangent: new Float32Array(outChannels * height * width), tensors: [tensor], image: true },
    ]),
  ];
}
