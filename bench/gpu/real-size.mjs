// Public configurations with random weights on the card and on the cpu, whose outputs are computed once for all batch sizes: a
// sample does not depend on its batch there.
import { Device } from '../../dist/index.js';
import { arithmetics, normals } from './agreement.mjs';
import { loadNetwork } from './networks.mjs';
import { settings } from './settings.mjs';

const cases = settings.selfTest
  ? [{ network: 'mnist', batches: [1, 2] }]
  : [
      { network: 'ddpm-cifar10-32', batches: [1, 2, 16] },
      { network: 'ddpm-celebahq-256', batches: [1] },
    ].slice(0, settings.quick ? 1 : 2);
const compared = arithmetics.filter(({ name }) => name === 'f32' || name === 'bf16');
/** The time for a row, from the whole range and in no order. */
const timeOf = (row) => (row * 377 + 100) % 1000;

async function withNetwork(options, network, use) {
  const device = Device.open(options);
  try {
    return await use(await loadNetwork(device, network));
  } finally {
    await device.close();
  }
}

async function expectedOf(network, most) {
  return withNetwork({ device: 'cpu', exact: true }, network, async (unet) => {
    const { inChannels, height, width } = unet.info;
    const x = normals(most * inChannels * height * width);
    const times = Float32Array.from({ length: most }, (_, row) => timeOf(row));
    return { x, times, out: (await unet.forward(x, times)).out };
  });
}

async function compareNetwork(agreement, { network, batches }) {
  const most = Math.max(...batches);
  const { x, times, out } = await expectedOf(network, most);
  const head = (values, batch) => values.slice(0, (values.length / most) * batch);
  for (const arithmetic of compared) {
    await agreement.attempt(`${network}, ${arithmetic.name}`, () =>
      withNetwork({ device: 'cuda', ...arithmetic.options }, network, async (unet) => {
        for (const batch of batches) {
          const { out: actual } = await unet.forward(head(x, batch), head(times, batch));
          agreement.compare(`${network}, batch ${batch}`, arithmetic, [[actual, head(out, batch)]]);
        }
      }),
    );
  }
}

export async function compareAtRealSize(agreement) {
  for (const each of cases) await agreement.attempt(each.network, () => compareNetwork(agreement, each));
}
