import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { loadableNetwork, readModelFolder } from '../../lib/checkpoint/model-folder.js';
import { parameterCount } from '../../lib/checkpoint/network.js';

const folderOf = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

describe('model folders', () => {
  it('reads the bundled model with each head', async () => {
    const folder = await readModelFolder(folderOf('models/mnist'));
    expect(parameterCount((await folder.select(null)).unet)).toBe(649_329);
    expect(folder.gamma?.m).toHaveLength(1001);
    for (const head of [null, 'npr', 'sn'] as const) {
      const { unet, weights } = await loadableNetwork(folder, head);
      expect(weights.tensors).toHaveLength(head === null ? 184 : 198);
      expect(unet.head === null).toBe(head === null);
    }
  });

  it.each(['diffusers-ddpm', 'diffusers-adm'])('reads %s without missing or unused tensors', async (name) => {
    const { weights } = await loadableNetwork(await readModelFolder(folderOf(`test/fixtures/unet/${name}`)), null);
    expect(weights.tensors.every(({ dtype }) => dtype === 'F16')).toBe(true);
  });
});
