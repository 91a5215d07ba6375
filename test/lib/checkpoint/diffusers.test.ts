import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { parseDiffusersConfig } from '../../../lib/checkpoint/diffusers-config.js';
import { canonicalDiffusersName, diffusersNetwork } from '../../../lib/checkpoint/diffusers.js';
import { compareWeights, requireMatchingWeights } from '../../../lib/checkpoint/weight-report.js';
import { multiplyAdds, parameterCount, requiredTensors } from '../../../lib/network/cost.js';
import type { UNetDescription } from '../../../lib/network/description.js';
import { unetGraph } from '../../../lib/network/unet.js';

const network = (config: Record<string, unknown>): UNetDescription =>
  diffusersNetwork(parseDiffusersConfig(config, 'config.json'), 'config.json');

const googleLike = {
  act_fn: 'silu',
  attention_head_dim: null,
  downsample_padding: 0,
  flip_sin_to_cos: false,
  freq_shift: 1,
  layers_per_block: 2,
  norm_eps: 1e-6,
  norm_num_groups: 32,
};

const cifar10 = {
  ...googleLike,
  sample_size: 32,
  block_out_channels: [128, 256, 256, 256],
  down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
};

const lsun256 = {
  ...googleLike,
  sample_size: 256,
  block_out_channels: [128, 128, 256, 256, 512, 512],
  down_block_types: ['DownBlock2D', 'DownBlock2D', 'DownBlock2D', 'DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D', 'UpBlock2D', 'UpBlock2D', 'UpBlock2D'],
};

describe('networks of diffusers', () => {
  it.each([
    ['google/ddpm-cifar10-32', cifar10, 35_746_307, 6.222e9],
    ['google/ddpm-*-256', lsun256, 113_673_219, 248.514e9],
  ])('%s has the published size and cost', (_name, config, parameters, cost) => {
    const unet = network(config);
    expect(parameterCount(unetGraph(unet))).toBe(parameters);
    expect(Math.abs(multiplyAdds(unetGraph(unet)) / cost - 1)).toBeLessThan(1e-3);
  });

  it('has 328 tensors for cifar10', () => {
    expect(requiredTensors(unetGraph(network(cifar10))).size).toBe(328);
  });

  it('pops what it pushes, before the residual block that takes the concatenation', () => {
    const { blocks } = network(cifar10);
    let depth = 0;
    blocks.forEach((block, i) => {
      if (block.kind === 'push') ++depth;
      if (block.kind === 'pop') {
        --depth;
        expect(blocks[i + 1]?.kind).toBe('residual');
      }
      expect(depth).toBeGreaterThanOrEqual(0);
    });
    expect(depth).toBe(0);
  });

  it('says of every residual block how wide the map is that it takes, and divides it into groups', () => {
    const level = fc.record({
      width: fc.integer({ min: 1, max: 12 }).map((parts) => 4 * parts),
      down: fc.constantFrom('DownBlock2D', 'AttnDownBlock2D', 'ResnetDownsampleBlock2D'),
      up: fc.constantFrom('UpBlock2D', 'AttnUpBlock2D', 'ResnetUpsampleBlock2D'),
    });
    const levels = fc.array(level, { minLength: 1, maxLength: 4 });
    // Outer levels beside which an image goes.
    const outer = fc.record({ down: fc.nat(4), up: fc.nat(4) });
    fc.assert(
      fc.property(levels, outer, fc.integer({ min: 1, max: 3 }), (of, skips, layers) => {
        const { blocks, baseChannels } = network({
          sample_size: 64,
          layers_per_block: layers,
          norm_num_groups: null,
          attention_head_dim: 4,
          block_out_channels: of.map(({ width }) => width),
          down_block_types: of.map(({ down }, i) => (i < skips.down ? 'SkipDownBlock2D' : down)),
          up_block_types: of.map(({ up }, i) => (of.length - 1 - i < skips.up ? 'SkipUpBlock2D' : up)),
        });
        let current = baseChannels;
        const pushed: number[] = [];
        for (const block of blocks) {
          if (block.kind === 'push') pushed.push(current);
          if (block.kind === 'pop') current += pushed.pop() ?? Number.NaN;
          if (block.kind !== 'residual') continue;
          expect(block).toMatchObject({ inChannels: current, groups1: Math.min(current / 4, 32) });
          current = block.outChannels;
        }
        expect(pushed).toEqual([]);
      }),
    );
  });

  it('centers its input where it is told to, and divides by no scale of 0', () => {
    expect(network(cifar10).centerInput).toBe(false);
    expect(network({ ...cifar10, center_input_sample: true }).centerInput).toBe(true);
    expect(() => network({ ...cifar10, mid_block_scale_factor: 0 })).toThrow(/mid_block_scale_factor.*not 0/);
  });

  it('follows the rules of the middle block', () => {
    const middle = (config: Record<string, unknown>): unknown =>
      network({ ...cifar10, ...config }).blocks.find(
        (block) => block.kind === 'attention' && block.name.startsWith('mid_block'),
      );
    expect(middle({})).toMatchObject({ groups: 32, heads: 1, scale: 1 });
    expect(middle({ resnet_time_scale_shift: 'scale_shift' })).toMatchObject({ groups: 0 });
    expect(middle({ resnet_time_scale_shift: 'scale_shift', attn_norm_num_groups: 16 })).toMatchObject({ groups: 16 });
    expect(middle({ mid_block_scale_factor: 2, attention_head_dim: 64 })).toMatchObject({ scale: 0.5, heads: 4 });
    expect(middle({ attention_head_dim: 100 })).toMatchObject({ heads: 2, inner: 200 });
    expect(middle({ add_attention: false })).toBeUndefined();
    expect(
      network({ ...cifar10, mid_block_type: null }).blocks.some(
        (block) => 'name' in block && block.name.startsWith('mid'),
      ),
    ).toBe(false);
  });

  it.each([
    ['UpBlock2D', 'conv', 'upsample'],
    ['UpBlock2D', 'resnet', 'upsample'],
    ['AttnUpBlock2D', 'conv', 'upsample'],
    ['AttnUpBlock2D', 'resnet', 'residual'],
    ['ResnetUpsampleBlock2D', 'conv', 'residual'],
  ])('zooms in %s with upsample_type %s by a block of kind %s', (type, upsample_type, kind) => {
    const { blocks } = network({ ...cifar10, up_block_types: Array<string>(4).fill(type), upsample_type });
    const zooming = blocks.filter((block) => 'name' in block && block.name.includes('.upsamplers.'));
    expect(zooming.map((block) => block.kind)).toEqual([kind, kind, kind]);
  });

  it('takes the defaults of the library and the names of its early releases', () => {
    expect(network({ sample_size: 64 }).baseChannels).toBe(224);
    const { sample_size: image_size, layers_per_block: num_res_blocks, norm_eps: resnet_eps, ...others } = cifar10;
    expect(network({ ...others, image_size, num_res_blocks, resnet_eps })).toEqual(network(cifar10));
    const { attention_head_dim: _oneHead, ...bare } = cifar10;
    expect(network({ ...bare, _name_or_path: 'google/ddpm-cifar10-32' })).toEqual(network(cifar10));
  });

  it('leaves out what the training script says of its moving average', () => {
    const average = {
      decay: 0.9999,
      inv_gamma: 1,
      min_decay: 0,
      optimization_step: 500,
      power: 0.75,
      update_after_step: 0,
      use_ema_warmup: true,
    };
    expect(network({ ...cifar10, ...average })).toEqual(network(cifar10));
  });

  // Elsewhere the image would not have the map's size; one of a single pixel the library would spread over all.
  it.each<[number, string[], string[], RegExp | null]>([
    [
      4,
      ['Down', 'Down', 'Down'],
      ['SkipUp', 'Up', 'Up'],
      /up_block_types .* Skip blocks in every place after the first/,
    ],
    [32, ['Down', 'Down', 'Down'], ['Up', 'SkipUp', 'Up'], /up_block_types/],
    [32, ['Down', 'Down', 'Down'], ['SkipUp', 'Up', 'SkipUp'], /up_block_types/],
    [
      32,
      ['Down', 'SkipDown', 'Down'],
      ['Up', 'Up', 'Up'],
      /down_block_types .* Skip blocks in every place before the last/,
    ],
    [32, ['Down', 'Down', 'SkipDown'], ['Up', 'Up', 'SkipUp'], null],
    [32, ['SkipDown', 'Down', 'SkipDown'], ['Up', 'SkipUp', 'AttnSkipUp'], null],
    [4, ['SkipDown', 'SkipDown', 'Down'], ['SkipUp', 'SkipUp', 'SkipUp'], null],
  ])('takes Skip blocks in the outer places alone: %d, %j, %j', (size, down, up, message) => {
    const make = (): unknown =>
      unetGraph(
        network({
          sample_size: size,
          block_out_channels: [32, 32, 32],
          down_block_types: down.map((kind) => `${kind}Block2D`),
          up_block_types: up.map((kind) => `${kind}Block2D`),
        }),
      );
    if (message === null) expect(make).not.toThrow();
    else {
      expect(make).toThrow(message);
      expect(make).toThrow(expect.objectContaining({ code: 'ERR_DPM_UNSUPPORTED' }));
    }
  });

  it.each([
    [{ time_embedding_type: 'learned' }, 'ERR_DPM_CONFIG', /num_train_timesteps is missing/],
    [{ class_embed_type: 'identity' }, 'ERR_DPM_UNSUPPORTED', /class_embed_type identity needs the model's folder/],
    [{ class_embed_type: 'projection' }, 'ERR_DPM_UNSUPPORTED', /class_embed_type/],
    [{ act_fn: 'tanh' }, 'ERR_DPM_UNSUPPORTED', /act_fn.*silu, swish, mish, gelu, relu/],
    [
      { down_block_types: ['CrossAttnDownBlock2D', 'DownBlock2D', 'DownBlock2D', 'DownBlock2D'] },
      'ERR_DPM_UNSUPPORTED',
      /SkipDownBlock2D/,
    ],
    [{ encoder_hid_dim: 5 }, 'ERR_DPM_UNSUPPORTED', /encoder_hid_dim/],
    [{ _class_name: 'UNet2DConditionModel' }, 'ERR_DPM_UNSUPPORTED', /sees a text: .* TextToImage\.load/],
    [{ _class_name: 'AutoencoderKL' }, 'ERR_DPM_UNSUPPORTED', /_class_name/],
    [{ down_block_types: ['DownBlock2D'] }, 'ERR_DPM_CONFIG', /down_block_types/],
    [{ norm_num_groups: 48 }, 'ERR_DPM_CONFIG', /48 groups/],
    [{ attention_head_dim: 257 }, 'ERR_DPM_CONFIG', /256 channels, fewer than one head of attention_head_dim 257/],
    [{ sample_size: 30 }, 'ERR_DPM_CONFIG', /divisible by 8/],
    [{ sample_size: null }, 'ERR_DPM_CONFIG', /sample_size is null.*imageSize/],
    [{ block_out_channels: '128' }, 'ERR_DPM_CONFIG', /block_out_channels/],
    [{ block_out_channels: [129, 256, 256, 256] }, 'ERR_DPM_CONFIG', /even in the first width/],
    [{ block_out_channels: [] }, 'ERR_DPM_CONFIG', /1 to 16 widths/],
    [{ block_out_channels: Array<number>(17).fill(32) }, 'ERR_DPM_CONFIG', /1 to 16 widths/],
    [{ up_block_types: ['UpBlock2D'] }, 'ERR_DPM_CONFIG', /up_block_types/],
    [{ layers_per_block: -1 }, 'ERR_DPM_CONFIG', /layers_per_block/],
    [{ norm_eps: 0 }, 'ERR_DPM_CONFIG', /norm_eps/],
    [{ freq_shift: 64 }, 'ERR_DPM_CONFIG', /freq_shift/],
  ])('refuses %j', (change, code, message) => {
    const make = (): unknown => network({ ...cifar10, ...change });
    expect(make).toThrow(message);
    expect(make).toThrow(expect.objectContaining({ code }));
  });
});

describe('names of tensors', () => {
  it.each([
    ['mid.attentions.0.query.weight', 'mid_block.attentions.0.to_q.weight'],
    ['down_blocks.1.attentions.0.proj_attn.bias', 'down_blocks.1.attentions.0.to_out.0.bias'],
    ['downsample_blocks.0.downsamplers.0.op.weight', 'down_blocks.0.downsamplers.0.conv.weight'],
    ['up_blocks.0.resnets.0.conv1.weight', 'up_blocks.0.resnets.0.conv1.weight'],
  ])('%s', (old, current) => {
    expect(canonicalDiffusersName(old)).toBe(current);
  });
});

describe('weights that do not fit', () => {
  const unet = network({ ...cifar10, block_out_channels: [32, 32, 32, 32] });
  const checkpointWith = (change: (shapes: Map<string, number[]>) => void) => {
    const shapes = requiredTensors(unetGraph(unet));
    change(shapes);
    const tensors = new Map(
      [...shapes].map(([name, shape]) => [name, { dtype: 'F32' as const, shape, offset: 0, bytes: 0, file: 0 }]),
    );
    return { files: ['weights.safetensors'], tensors };
  };

  it.each<[string, string, (shapes: Map<string, number[]>) => void]>([
    ['missing', 'ERR_DPM_TENSOR_MISSING', (shapes) => shapes.delete('conv_in.weight')],
    ['of another shape', 'ERR_DPM_TENSOR_SHAPE', (shapes) => shapes.set('conv_in.weight', [32, 3, 1, 1])],
    ['unused', 'ERR_DPM_TENSOR_UNUSED', (shapes) => shapes.set('extra.weight', [1])],
  ])('%s', (_name, code, change) => {
    const checkpoint = checkpointWith(change);
    const check = (): void => {
      requireMatchingWeights(compareWeights(requiredTensors(unetGraph(unet)), checkpoint), checkpoint);
    };
    expect(check).toThrow(expect.objectContaining({ code }));
    expect(check).toThrow(/conv_in\.weight|extra\.weight/);
  });

  it('that are missing are named with those that are not used', () => {
    const message = (...unused: string[]): string => {
      const checkpoint = checkpointWith((shapes) => {
        shapes.delete('conv_in.weight');
        for (const name of unused) shapes.set(name, [1]);
      });
      try {
        requireMatchingWeights(compareWeights(requiredTensors(unetGraph(unet)), checkpoint), checkpoint);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    const missing = 'weights.safetensors: 1 tensors are missing: conv_in.weight';
    expect(message()).toBe(missing);
    expect(message('first.weight')).toBe(`${missing}; not used: first.weight`);
    expect(message('first.weight', 'second')).toBe(`${missing}; not used: first.weight, second`);
  });

  it('takes projections stored as convolutions', () => {
    const checkpoint = checkpointWith((shapes) => shapes.set('mid_block.attentions.0.to_q.weight', [32, 32, 1, 1]));
    expect(compareWeights(requiredTensors(unetGraph(unet)), checkpoint).misshapen).toEqual([]);
  });
});
