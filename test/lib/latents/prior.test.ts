// The diffusion prior against the public library's, in double (test/fixtures/latent/prior), and what it refuses.
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import {
  DiffusionPrior,
  NoiseSchedule,
  runProgram,
  samplers,
  writeSafetensors,
  type HostTensor,
  type PriorForwardOptions,
} from '../../../lib/index.js';
import { difference, expectPrior, hostDevices, latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';
import { readTensors } from '../../support/tensors.js';
import { archive, checkpointEntries, pickle, type Part } from '../../support/write-pytorch.js';

const pipeline = join(latentFixtures, 'prior');
const path = join(pipeline, 'prior');
const golden = await readTensors(join(pipeline, 'golden.safetensors'));
const { start: x, t } = { start: golden.start!, t: golden.t! };
const texts = { hidden: golden.hidden_states!, pooled: golden.text_embeds!, mask: golden.mask! };
const negative = {
  hidden: golden.negative_hidden_states!,
  pooled: golden.negative_text_embeds!,
  mask: golden.negative_mask!,
};

describe.each(hostDevices)('a diffusion prior on $device', ({ limit, ...options }) => {
  it('has the predictions of the library', async () => {
    await expectPrior(options, limit);
  });
});

describe('a run of a diffusion prior', async () => {
  const { guidance_scale: weight, ...run } = JSON.parse(await readFile(join(pipeline, 'golden.json'), 'utf8')) as {
    guidance_scale: number;
    steps: number;
    scheduler: Record<string, unknown>;
  };
  const program = samplers.scheduler(NoiseSchedule.fromSchedulerConfig(run.scheduler), { steps: run.steps });
  const slice = (tensor: Float32Array, k: number): Float32Array => tensor.subarray(k * x.length, (k + 1) * x.length);
  const noise = Array.from({ length: run.steps - 1 }, (_, k) => slice(golden.noise!, k));

  async function guided(prior: DiffusionPrior, state: Float32Array, time: number): Promise<Float32Array> {
    const [toward, away] = [await prior.forward(state, time, texts), await prior.forward(state, time, negative)];
    return toward.map((value, i) => away[i]! + weight * (value - away[i]!));
  }

  it('has the steps of the library', async () => {
    const states: Float32Array[] = [];
    const times: number[] = [];
    const final = await runProgram(program, {
      shape: [2, 24],
      init: x,
      noise,
      model(state, time) {
        states.push(state.slice());
        times.push(time);
        return slice(golden.outputs!, times.length - 1);
      },
    });
    expect(times).toEqual([...golden.timesteps!]);
    for (const [k, state] of [...states, final].entries())
      expect(difference(state, slice(golden.states!, k))).toBeLessThan(2e-5);
  });

  it('has the predictions of the library with guidance, and its embeddings', async () => {
    await using prior = await DiffusionPrior.load(path, { device: 'cpu' });
    for (const [k, time] of golden.timesteps!.entries()) {
      const out = await guided(prior, slice(golden.states!, k), time);
      expect(difference(out, slice(golden.outputs!, k))).toBeLessThan(5e-5);
    }
    const model = (state: Float32Array, time: number): Promise<Float32Array> => guided(prior, state, time);
    const final = await runProgram(program, { shape: [2, 24], init: x, noise, model });
    expect(difference(prior.fromDiffusion(final), golden.embedding!)).toBeLessThan(2e-4);
  });
});

describe('a diffusion prior', () => {
  it('has the sizes of its configuration', async () => {
    await using prior = await DiffusionPrior.load(path, { device: 'reference' });
    expect([prior.width, prior.textWidth, prior.tokens]).toEqual([24, 24, 77]);
  });

  it('does not see padding', async () => {
    await using prior = await DiffusionPrior.load(path, { device: 'cpu' });
    const out = await prior.forward(x, t, texts);
    const changed = (of: number): Float32Array =>
      texts.hidden.map((value, i) => (texts.mask[Math.floor(i / 24)] === of ? value + 3 : value));
    expect(await prior.forward(x, t, { ...texts, hidden: changed(0) })).toEqual(out);
    expect(await prior.forward(x, t, { ...texts, hidden: changed(1) })).not.toEqual(out);
    const all = new Uint8Array(2 * 77).fill(1);
    expect(await prior.forward(x, t, { ...texts, mask: undefined })).toEqual(
      await prior.forward(x, t, { ...texts, mask: all }),
    );
    expect(await prior.forward(x, t, { ...texts, mask: all })).not.toEqual(out);
  });

  it('gives a sample the same alone as among others', async () => {
    await using prior = await DiffusionPrior.load(path, { device: 'cpu' });
    const all = await prior.forward(x, t, texts);
    const alone = await prior.forward(x.subarray(24), t[1]!, {
      hidden: texts.hidden.subarray(77 * 24),
      pooled: texts.pooled.subarray(24),
      mask: texts.mask.subarray(77),
    });
    expect(alone).toEqual(all.subarray(24));
  });

  it('loads its weights anew after they were freed', async () => {
    await using prior = await DiffusionPrior.load(path, { device: 'cpu' });
    const out = await prior.forward(x, t, texts);
    await prior.release();
    expect(await prior.forward(x, t, texts)).toEqual(out);
  });

  const holed = texts.mask.slice();
  holed[77] = 0;
  const odd = texts.mask.slice();
  odd[3] = 0.5;
  it.each<[Float32Array, number | number[], Partial<PriorForwardOptions>, string]>([
    [x.subarray(1), 1, {}, 'x has 47 elements, a sample has 24'],
    [new Float32Array(), 1, {}, 'x has 0 elements'],
    [x, [1], {}, 't has 1 times for 2 samples'],
    [x, 1, { hidden: texts.hidden.subarray(24) }, 'hidden has 3672 elements, 2 samples have 2 x 1848'],
    [x, 1, { pooled: texts.pooled.subarray(24) }, 'pooled has 24 elements, 2 samples have 2 x 24'],
    [x, 1, { mask: texts.mask.subarray(1) }, 'mask has 153 elements, 2 samples have 2 x 77'],
    [x, 1, { mask: odd }, 'mask[3] is 0.5'],
    [x, 1, { mask: holed }, 'mask[77] is 0'],
  ])('refuses %#', async (state, time, options, message) => {
    await using prior = await DiffusionPrior.load(path, { device: 'reference' });
    await expect(prior.forward(state, time, { ...texts, ...options })).rejects.toThrow(message);
  });

  it('refuses predictions of other widths', async () => {
    await using prior = await DiffusionPrior.load(path, { device: 'reference' });
    expect(() => prior.fromDiffusion(new Float32Array(25))).toThrow('x has 25 elements, a sample has 24');
  });

  it('that is closed refuses more', async () => {
    const prior = await DiffusionPrior.load(path, { device: 'cpu' });
    await prior.close();
    await expect(prior.forward(x, t, texts)).rejects.toThrow('closed');
  });
});

describe('the folder of a diffusion prior', () => {
  const folder = temporaryFolder();

  async function edited(name: string, edit: object): Promise<string> {
    const place = join(folder, name);
    await cp(path, place, { recursive: true });
    const file = join(place, 'config.json');
    await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), ...edit }));
    return place;
  }

  async function withTensors(name: string, change: (tensors: Map<string, HostTensor>) => void): Promise<string> {
    const place = await edited(name, {});
    const file = join(place, 'diffusion_pytorch_model.safetensors');
    const header = await readSafetensorsHeader(file);
    const tensors = new Map<string, HostTensor>();
    for (const tensor of header.tensors.keys()) tensors.set(tensor, await readFloats(header, tensor));
    change(tensors);
    await writeSafetensors(file, tensors);
    return place;
  }

  it.each([
    [{ added_emb_type: null }, 'added_emb_type'],
    [{ additional_embeddings: 3 }, 'additional_embeddings'],
    [{ embedding_proj_norm_type: 'layer' }, 'embedding_proj_norm_type'],
    [{ encoder_hid_proj_type: null }, 'encoder_hid_proj_type'],
    [{ norm_in_type: 'layer' }, 'norm_in_type'],
    [{ time_embed_act_fn: 'gelu' }, 'time_embed_act_fn'],
    [{ clip_embed_dim: 25 }, 'clip_embed_dim'],
    [{ attention_head_dim: 40_000 }, 'attention_head_dim'],
    [{ attention_head_dim: 1, num_attention_heads: 3 }, 'attention_head_dim'],
    [{ num_attention_heads: 0 }, 'num_attention_heads'],
    [{ num_embeddings: 1e9 }, 'num_embeddings'],
    [{ num_embeddings: 76 }, "'positional_embedding' is [1, 81, 32], the configuration needs [1, 80, 32]"],
    [{ num_layers: 257 }, 'num_layers'],
    [{ num_layers: 1 }, 'transformer_blocks.1'],
    [{ num_layers: 3 }, 'transformer_blocks.2'],
    [{ embedding_dim: 25 }, 'the configuration needs [32, 25]'],
    [{ embedding_proj_dim: 23 }, 'embedding_proj.weight'],
    [{ time_embed_dim: 16 }, 'time_embedding.linear_1'],
    [{ flow_shift: 3 }, 'flow_shift'],
    [{ _class_name: 'Transformer2DModel' }, '_class_name'],
  ])('is refused with %j', async (edit, message) => {
    await expect(DiffusionPrior.load(await edited('edited', edit))).rejects.toThrow(message);
  });

  it.each<[string, (tensors: Map<string, HostTensor>) => void, string]>([
    ['prd_embedding', (tensors) => tensors.delete('prd_embedding'), 'ERR_DPM_TENSOR_MISSING'],
    ['clip_std', (tensors) => tensors.delete('clip_std'), 'ERR_DPM_TENSOR_MISSING'],
    [
      'prd_embedding',
      (tensors) => tensors.set('prd_embedding', { shape: [32], data: new Float32Array(32) }),
      'ERR_DPM_TENSOR_SHAPE',
    ],
    [
      'clip_mean',
      (tensors) => tensors.set('clip_mean', { shape: [1, 23], data: new Float32Array(23) }),
      'ERR_DPM_TENSOR_SHAPE',
    ],
    [
      'norm_in.bias',
      (tensors) => tensors.set('norm_in.bias', { shape: [32], data: new Float32Array(32) }),
      'ERR_DPM_TENSOR_UNUSED',
    ],
  ])('is refused with another %s', async (name, change, code) => {
    const load = DiffusionPrior.load(await withTensors('tensors', change));
    await expect(load).rejects.toMatchObject({ code });
    await expect(load).rejects.toThrow(new RegExp(`tensors/diffusion_pytorch_model.safetensors.*${name}`));
  });

  it('may leave out what is the default', async () => {
    const place = await edited('defaults', {});
    const file = join(place, 'config.json');
    const { embedding_dim, num_layers, num_attention_heads, attention_head_dim } = JSON.parse(
      await readFile(file, 'utf8'),
    ) as Record<string, number>;
    await writeFile(file, JSON.stringify({ embedding_dim, num_layers, num_attention_heads, attention_head_dim }));
    await using prior = await DiffusionPrior.load(place, { device: 'cpu' });
    await using other = await DiffusionPrior.load(path, { device: 'cpu' });
    expect(await prior.forward(x, t, texts)).toEqual(await other.forward(x, t, texts));
  });

  it('may have weights of PyTorch whose elements lie in another order', async () => {
    const place = await edited('pytorch', {});
    const file = join(place, 'diffusion_pytorch_model.safetensors');
    const header = await readSafetensorsHeader(file);
    const entries: Part[] = [];
    const storages: Record<string, Uint8Array> = {};
    for (const [i, name] of [...header.tensors.keys()].entries()) {
      const { data, shape } = await readFloats(header, name);
      // The last axis goes first.
      const rows = data.length / shape.at(-1)!;
      const lying = data.map((_, k) => data[(k % rows) * shape.at(-1)! + Math.floor(k / rows)]!);
      const strides = shape.map((_, axis) => (axis === shape.length - 1 ? rows : axis === shape.length - 2 ? 1 : rows));
      const own = pickle.storage(String(i), data.length);
      const sizes = [shape, strides].map((each) => each.map(pickle.integer)) as [Part[], Part[]];
      entries.push(pickle.text(name), pickle.tensor(own, pickle.integer(0), ...sizes));
      storages[i] = new Uint8Array(lying.buffer);
    }
    await rm(file);
    const whole = pickle.whole(pickle.dictionary(...entries));
    await writeFile(join(place, 'diffusion_pytorch_model.bin'), archive(checkpointEntries(whole, storages)));
    await using prior = await DiffusionPrior.load(place, { device: 'cpu' });
    await using other = await DiffusionPrior.load(path, { device: 'cpu' });
    expect(await prior.forward(x, t, texts)).toEqual(await other.forward(x, t, texts));
  });
});
