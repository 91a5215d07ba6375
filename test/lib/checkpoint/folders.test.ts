import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { convertModel } from '../../../lib/checkpoint/convert.js';
import { loadableNetwork } from '../../../lib/checkpoint/model-folder.js';
import { readModelFolder } from '../../../lib/checkpoint/read-model.js';
import { writeSafetensors } from '../../../lib/files/tensor-data.js';
import { parameterCount } from '../../../lib/network/cost.js';
import { unetGraph } from '../../../lib/network/unet.js';
import { networkOf, writeModel } from '../../support/golden-network.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folderOf = packagePath;

/** A small network that takes vectors for labels, four of them. */
async function writeVectorModel(): Promise<string> {
  const folder = temporaryFolder();
  const config = {
    sample_size: 8,
    block_out_channels: [16],
    layers_per_block: 1,
    norm_num_groups: 8,
    down_block_types: ['DownBlock2D'],
    up_block_types: ['UpBlock2D'],
  };
  const network = networkOf({ ...config, num_class_embeds: 4 });
  await writeModel(folder, { ...config, class_embed_type: 'identity' }, network);
  return folder;
}

describe('a network that takes vectors for labels', () => {
  it('finds them beside its weights, and keeps them there', async () => {
    const folder = join(temporaryFolder(), 'converted');
    const model = await readModelFolder(await writeVectorModel());
    expect((await loadableNetwork(model, null)).unet.classes).toBe(4);
    await convertModel(model, folder);
    const converted = await readModelFolder(folder);
    expect(converted.weights.tensors.has('class_embedding.weight')).toBe(false);
    expect((await loadableNetwork(converted, null)).unet).toEqual((await model.select(null)).unet);
  });

  it('needs one of the right width for every label', async () => {
    const folder = await writeVectorModel();
    const file = join(folder, 'unet', 'class_embedding.safetensors');
    const outcome = async (): Promise<unknown> => loadableNetwork(await readModelFolder(folder), null);
    await writeSafetensors(file, { weight: { shape: [4, 32], data: new Float32Array(128) } });
    await expect(outcome()).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
    await writeSafetensors(file, { vectors: { shape: [4, 64], data: new Float32Array(256) } });
    await expect(outcome()).rejects.toThrow(/class_embedding\.safetensors holds no tensor 'weight'/);
    await writeSafetensors(file, { weight: { shape: [0, 64], data: new Float32Array(0) } });
    await expect(outcome()).rejects.toThrow(/holds no tensor 'weight'/);
    await rm(file);
    await expect(outcome()).rejects.toThrow(/cannot open .*class_embedding\.safetensors: class_embed_type is identity/);
  });
});

describe('model folders', () => {
  it('reads the bundled model with each head', async () => {
    const folder = await readModelFolder(folderOf('models/mnist'));
    expect(parameterCount(unetGraph((await folder.select(null)).unet))).toBe(649_329);
    expect(folder.gamma?.m).toHaveLength(1001);
    for (const head of [null, 'npr', 'sn'] as const) {
      const { unet, graph } = await loadableNetwork(folder, head);
      expect(graph.constants).toHaveLength(head === null ? 184 : 198);
      expect(unet.head === null).toBe(head === null);
    }
  });

  describe('say the channels of their heads', () => {
    const withHeads = async (fields: Record<string, unknown>): Promise<string> => {
      const folder = temporaryFolder();
      await cp(folderOf('models/mnist'), folder, { recursive: true });
      const path = join(folder, 'heads', 'config.json');
      const { out_channels: _, ...config } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
      await writeFile(path, JSON.stringify({ ...config, ...fields }));
      return folder;
    };

    it.each([
      { out_channels: 1 },
      { 'head.out_channels': 1 },
      { head: { out_channels: 1 } },
      { out_channels: 1, 'head.out_channels': 1, head: { out_channels: 1 } },
    ])('as %j', async (fields) => {
      const { unet } = await loadableNetwork(await readModelFolder(await withHeads(fields)), 'sn');
      expect(unet.head?.outChannels).toBe(1);
    });

    it.each<[Record<string, unknown>, RegExp]>([
      [{}, /out_channels is missing/],
      [
        { out_channels: 1, 'head.out_channels': 3 },
        /out_channels and head\.out_channels have to agree, they are 1 and 3/,
      ],
      [{ out_channels: 1, head: { out_channels: 3 } }, /have to agree, they are 1 and 3/],
      [{ 'head.out_channels': 1, head: { out_channels: 3 } }, /have to agree, they are 1 and 3/],
      [{ head: { out_channels: 0 } }, /head: out_channels is 0/],
      [{ head: 1 }, /head is 1, it has to be an object with out_channels/],
    ])('and not as %j', async (fields, message) => {
      const read = readModelFolder(await withHeads(fields));
      await expect(read).rejects.toThrow(message);
      await expect(read).rejects.toMatchObject({ code: 'ERR_DPM_CONFIG' });
    });
  });

  it.each(['diffusers-ddpm', 'diffusers-adm'])('reads %s without missing or unused tensors', async (name) => {
    const { graph } = await loadableNetwork(await readModelFolder(folderOf(`test/fixtures/unet/${name}`)), null);
    expect(graph.constants.every((each) => 'dtype' in each && each.dtype === 'F16')).toBe(true);
  });
});

it.each(['mnist', 'test/fixtures/unet/classifier-attention'])(
  'the folder %s has its own configuration',
  async (name) => {
    const folder = name === 'mnist' ? folderOf('models/mnist') : folderOf(name);
    await expect(readModelFolder(folder, { config: 'ho-ddpm' })).rejects.toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: `${folder} is not a file: config is for checkpoint files`,
    });
  },
);
