// ControlNets against the public library's, in double (test/fixtures/latent/controlnet), and what they refuse.
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, vi } from 'vitest';

import { readConditional } from '../../../lib/checkpoint/pipelines/conditional.js';
import { withControls } from '../../../lib/checkpoint/pipelines/control.js';
import { ConditionalUNet, Device } from '../../../lib/index.js';
import { conditionalGraph } from '../../../lib/network/conditional.js';
import {
  controlGoldens,
  controlledCase,
  difference,
  expectControlled,
  hostDevices,
  latentFixtures,
  loraFile,
} from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = join(latentFixtures, 'controlnet');
const place = (name: string): string => join(folder, name);
const unetPath = join(latentFixtures, 'sd1/unet');
const size = { height: 8, width: 4 };
const pixels = { height: 32, width: 16 };

describe.each(hostDevices)('a ControlNet on $device', ({ limit, ...options }) => {
  it.each(controlGoldens)('$name changes a prediction as in the library', async (golden) => {
    await expectControlled(golden, options, limit);
  });
});

const half = (values: Float32Array, which: 0 | 1): Float32Array =>
  values.subarray((which * values.length) / 2, ((which + 1) * values.length) / 2);

describe('ControlNets of a U-Net', () => {
  const load = (device: string | Device, ...names: string[]): Promise<ConditionalUNet> =>
    ConditionalUNet.load(unetPath, { device, controlNets: names.map(place) });

  it('see for each sample its own picture, one for all, or the one that is named', async () => {
    await using unet = await load('cpu', 'controlnet-a');
    const { x, t, pictures, options } = await controlledCase('controlnet-a');
    const both = await unet.prepareControl(0, pictures, pixels);
    expect([both.index, both.count, both.height, both.width]).toEqual([0, 2, 8, 4]);
    const [first, second] = [half(pictures, 0), half(pictures, 1)];
    const [one, other] = [await unet.prepareControl(0, first, pixels), await unet.prepareControl(0, second, pixels)];
    const predicted = (picture: typeof one, controlIndices?: number[]): Promise<Float32Array> =>
      unet.forward(x, t, { ...options, controls: [{ picture }], controlIndices });
    const [withOne, withOther] = [await predicted(one), await predicted(other)];
    expect(withOne).not.toEqual(withOther);
    expect(await predicted(both)).toEqual(Float32Array.from([...half(withOne, 0), ...half(withOther, 1)]));
    expect(await predicted(both, [1, 0])).toEqual(Float32Array.from([...half(withOther, 0), ...half(withOne, 1)]));
    expect(await predicted(both, [1, 1])).toEqual(withOther);
    expect(await predicted(one, [1, 0])).toEqual(withOne);
  });

  it('add up, whatever their order, each with its own factor', async () => {
    await using unet = await load('cpu', 'controlnet-a', 'controlnet-b');
    const { x, t, pictures, options } = await controlledCase('controlnet-b');
    const [a, b] = [await unet.prepareControl(0, pictures, pixels), await unet.prepareControl(1, pictures, pixels)];
    const predicted = (...controls: { picture: typeof a; scale?: number }[]): Promise<Float32Array> =>
      unet.forward(x, t, { ...options, controls });
    const both = await predicted({ picture: a, scale: 0.3 }, { picture: b });
    expect(await predicted({ picture: b }, { picture: a, scale: 0.3 })).toEqual(both);
    expect(await predicted({ picture: a }, { picture: b, scale: 0.3 })).not.toEqual(both);
    await using alone = await load('cpu', 'controlnet-b');
    const own = await alone.prepareControl(0, pictures, pixels);
    const expected = await alone.forward(x, t, { ...options, controls: [{ picture: own }] });
    expect(await predicted({ picture: b })).toEqual(expected);
    expect(await predicted({ picture: a, scale: 0 }, { picture: b })).toEqual(expected);
    expect(both).not.toEqual(expected);
  });

  it('are read at the call', async () => {
    await using unet = await load('cpu', 'controlnet-a');
    const { x, t, pictures, options, out } = await controlledCase('controlnet-a');
    const given = pictures.slice();
    const preparing = unet.prepareControl(0, given, pixels);
    given.fill(NaN);
    const picture = await preparing;
    const controls = [{ picture, scale: 1 }];
    const [numbers, states] = [[0, 1], x.slice()];
    const predicting = unet.forward(states, t, { ...options, controls, controlIndices: numbers });
    controls[0]!.scale = 5;
    numbers.fill(0);
    states.fill(NaN);
    expect(difference(await predicting, out)).toBeLessThan(5e-5);
  });

  it('leave U-Net, its weights and what is added to it as they are', async () => {
    const { x, t, options } = await controlledCase('controlnet-a');
    const loras = [{ path: loraFile('sd1', 'kohya') }];
    await using alone = await ConditionalUNet.load(unetPath, { device: 'cpu', loras });
    const controlNets = [place('controlnet-a'), place('controlnet-b')];
    await using unet = await ConditionalUNet.load(unetPath, { device: 'cpu', loras, controlNets });
    expect(await unet.forward(x, t, options)).toEqual(await alone.forward(x, t, options));
    expect(unet.parameters).toBe(alone.parameters);
    expect(unet.controlNets).toEqual([
      { channels: 3, factor: 4 },
      { channels: 3, factor: 4 },
    ]);
    expect(alone.controlNets).toEqual([]);
  });

  it('take memory that is told, and free it', async () => {
    const device = Device.open({ device: 'cpu' });
    const unet = await load(device, 'controlnet-a');
    const { x, t, pictures, options } = await controlledCase('controlnet-a');
    const asked = { ...size, batch: 2 };
    const plain = await unet.bytesFor(asked);
    expect(await unet.bytesFor({ ...asked, controlScales: [0] })).toBe(plain);
    expect(await unet.bytesFor({ ...asked, controlScales: [1] })).toBeGreaterThan(1.2 * plain);
    await expect(unet.bytesFor({ ...asked, controlScales: [0, 1] })).rejects.toThrow('2 factors for 1 ControlNets');
    await unet.release();
    expect(device.memory().host).toBe(0);
    const picture = await unet.prepareControl(0, pictures, pixels);
    const prepared = device.memory().host;
    expect(prepared).toBeGreaterThan(0);
    await unet.releasePrompts();
    expect(device.memory().host).toBe(0);
    const controller = new AbortController();
    const stopped = unet.prepareControl(0, pictures, { ...pixels, signal: controller.signal });
    controller.abort();
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    vi.stubEnv('DPM_MEMORY', '0.001');
    await expect(unet.prepareControl(0, new Float32Array(3 * 512 * 512), { height: 512, width: 512 })).rejects.toThrow(
      '1 pictures of 512 x 512 that control',
    );
    vi.unstubAllEnvs();
    await unet.forward(x, t, { ...options, controls: [{ picture }] });
    await unet.close();
    expect(device.memory().host).toBe(0);
    await device.close();
  });

  it('refuse pictures and controls that do not fit', async () => {
    await using unet = await load('reference', 'controlnet-a', 'controlnet-b');
    await using other = await load('reference', 'controlnet-a');
    await using none = await ConditionalUNet.load(unetPath, { device: 'reference' });
    const { x, t, pictures, options } = await controlledCase('controlnet-a');
    await expect(none.prepareControl(0, pictures, pixels)).rejects.toThrow('loaded without ControlNets');
    await expect(unet.prepareControl(2, pictures, pixels)).rejects.toThrow('index is 2');
    await expect(unet.prepareControl(0, pictures, { height: 30, width: 16 })).rejects.toThrow('height is 30');
    await expect(unet.prepareControl(0, pictures, { height: 32, width: 18 })).rejects.toThrow('width is 18');
    await expect(unet.prepareControl(0, pictures.subarray(1), pixels)).rejects.toThrow('a sample has 1536');
    const picture = await unet.prepareControl(0, pictures, pixels);
    const theirs = await other.prepareControl(0, pictures, pixels);
    const tall = await unet.prepareControl(0, pictures, { height: 16, width: 32 });
    const second = await unet.prepareControl(1, pictures, pixels);
    const three = await unet.prepareControl(0, new Float32Array((3 * pictures.length) / 2), pixels);
    const refused: [object, string][] = [
      [
        { controls: [{ picture: theirs }] },
        'controls[0].picture is not one that this network prepared for states of 8 x 4',
      ],
      [{ controls: [{ picture }, { picture: tall }] }, 'controls[1].picture is not one'],
      [{ controls: [{ picture }, { picture, scale: 2 }] }, 'controls[1] is of ControlNet 0, as another one is'],
      [{ controls: [{ picture: three }] }, 'controls[0].picture has 3 pictures for 2 samples'],
      [{ controls: [{ picture }], controlIndices: [0, 2] }, 'controlIndices[1] is 2, it has to be below 2'],
      [{ controls: [{ picture: second }, { picture: three }] }, 'controls[1].picture has 3 pictures for 2 samples'],
      [{ controls: [{ picture }], controlIndices: [0] }, 'controlIndices has 1 numbers for 2 samples'],
      [{ controls: [{ picture }], controlIndices: [0, 0.5] }, 'controlIndices[1] is 0.5'],
      [{ controls: [{ picture, scale: Infinity }] }, 'scale is Infinity'],
      [{ controls: [{}] }, 'controls[0].picture is undefined'],
      [{ controls: [{ picture: {} }] }, 'picture is {}'],
      [{ controls: [{ picture, size: 1 }] }, "controls[0] has no option 'size'"],
    ];
    for (const [changed, message] of refused) {
      await expect(unet.forward(x, t, { ...options, ...changed })).rejects.toThrow(message);
    }
  });
});

describe('the folder of a ControlNet', () => {
  const copies = temporaryFolder();
  const edited = async (fields: Record<string, unknown>): Promise<string> => {
    const copy = join(copies, `control-${Math.random()}`);
    await cp(place('controlnet-a'), copy, { recursive: true });
    const path = join(copy, 'config.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await writeFile(path, JSON.stringify({ ...config, ...fields }));
    return copy;
  };

  it.each([
    [{ _class_name: 'UNet2DConditionModel' }, '_class_name'],
    [{ global_pool_conditions: true }, 'global_pool_conditions'],
    [{ up_block_types: ['UpBlock2D', 'UpBlock2D'] }, 'up_block_types'],
    [{ center_input_sample: true }, 'center_input_sample'],
    [{ time_cond_proj_dim: 256 }, 'time_cond_proj_dim'],
    [{ down_block_types: ['DownBlock2D', 7] }, 'down_block_types'],
    [{ controlnet_conditioning_channel_order: 'gbr' }, 'controlnet_conditioning_channel_order'],
    [{ conditioning_embedding_out_channels: [] }, 'conditioning_embedding_out_channels'],
    [{ conditioning_embedding_out_channels: new Array<number>(9).fill(1) }, 'conditioning_embedding_out_channels'],
    [{ conditioning_embedding_out_channels: [8, 0, 4] }, 'conditioning_embedding_out_channels'],
    [{ conditioning_channels: 0 }, 'conditioning_channels'],
    [{ conditioning_channels: 1 }, 'controlnet_cond_embedding.conv_in.weight'],
    [{ conditioning_embedding_out_channels: [8, 16] }, 'controlnet_cond_embedding'],
    [{ layers_per_block: 2 }, 'down_blocks'],
    [{ hint: 1 }, 'hint'],
  ])('with %o is refused', async (fields, message) => {
    const given = { device: 'reference', controlNets: [await edited(fields)] };
    await expect(ConditionalUNet.load(unetPath, given)).rejects.toThrow(message);
  });

  it.each([
    [{ contextWidth: 16 }, 'cross_attention_dim is 32, it has to be 16'],
    [{ outChannels: 3 }, 'in_channels is 4, it has to be 3'],
    [{ classes: 2 }, 'num_class_embeds is 0, it has to be 2'],
    [{ added: { name: 'add_embedding', length: 8 } }, 'projection_class_embeddings_input_dim is null, it has to be 8'],
    [{ levels: [] }, 'block_out_channels is [32,32], it has to be []'],
  ] as const)('does not fit a U-Net of %o', async (changed, message) => {
    const unet = await readConditional(unetPath);
    const other = { ...unet, description: { ...unet.description, ...changed } };
    const path = join(place('controlnet-a'), 'config.json');
    await expect(withControls(other, [place('controlnet-a')])).rejects.toThrow(`${path}: ${message}, as the U-Net's`);
    const [first] = unet.description.levels;
    const deeper = { ...unet.description, levels: [{ ...first!, layers: 3 }, unet.description.levels[1]!] };
    const loading = withControls({ ...unet, description: deeper }, [place('controlnet-a')]);
    await expect(loading).rejects.toThrow('layers_per_block is [1,1], it has to be [3,1]');
  });

  it('sees the states alone beside a U-Net that sees a mask, too', async () => {
    const { description } = await withControls(await readConditional(unetPath), [place('controlnet-a')]);
    const size8 = { height: 8, width: 8, tokens: 4 };
    const { values } = conditionalGraph({ ...description, inChannels: 9 }, size8, { controlScales: [1] });
    expect(values.find(({ binding }) => binding === 'image')?.channels).toBe(9 + 32);
  });

  it('has to have weights and a configuration', async () => {
    const copy = await edited({});
    await rm(join(copy, 'diffusion_pytorch_model.safetensors'));
    const load = (): Promise<ConditionalUNet> =>
      ConditionalUNet.load(unetPath, { device: 'reference', controlNets: [copy] });
    await expect(load()).rejects.toThrow('diffusion_pytorch_model');
    await rm(join(copy, 'config.json'));
    await expect(load()).rejects.toThrow(join(copy, 'config.json'));
  });
});
