// CLIP's text encoders against the public library's, in double (test/fixtures/latent), and what they refuse.
import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ClipTextEncoder, writeSafetensors, type HostTensor } from '../../../lib/index.js';
import {
  expectTextEncoder,
  goldenIds,
  hostDevices,
  latentFixtures,
  textEncoderGoldens,
} from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';

describe.each(hostDevices)('a text encoder on $device', ({ limit, ...options }) => {
  it.each(textEncoderGoldens)('of $model/$encoder has the values of the library', async (golden) => {
    await expectTextEncoder(golden, options, limit);
  });
});

const sd1 = join(latentFixtures, 'sd1/text_encoder');
const ids = await goldenIds(textEncoderGoldens[0]!);

describe('a text encoder', () => {
  it('gives a text the same states alone as among others', async () => {
    await using encoder = await ClipTextEncoder.load(sd1, { device: 'cpu' });
    const all = await encoder.encode(ids);
    const alone = await encoder.encode(ids.subarray(77, 2 * 77));
    expect(alone.hidden).toEqual(all.hidden.subarray(alone.hidden.length, 2 * alone.hidden.length));
    expect(alone.pooled).toEqual(all.pooled.subarray(alone.pooled.length, 2 * alone.pooled.length));
  });

  it('may skip all of its layers, and a token then sees nothing but itself', async () => {
    await using encoder = await ClipTextEncoder.load(sd1, { device: 'cpu' });
    const { width } = encoder;
    const changed = ids.slice(0, 77);
    changed[40] = (changed[40]! + 1) % 800;
    const options = { skippedLayers: encoder.layers, normed: false };
    const first = (await encoder.encode(ids.subarray(0, 77), options)).hidden;
    const second = (await encoder.encode(changed, options)).hidden;
    const isOther = Array.from({ length: 77 }, (_, token) =>
      first.subarray(token * width, (token + 1) * width).some((value, c) => value !== second[token * width + c]),
    );
    expect(isOther).toEqual(isOther.map((_, token) => token === 40));
  });

  it('sees of a text what comes before a token alone', async () => {
    await using encoder = await ClipTextEncoder.load(sd1, { device: 'cpu' });
    const changed = ids.slice(0, 77);
    changed[40] = (changed[40]! + 1) % 800;
    const [first, second] = [await encoder.encode(ids.subarray(0, 77)), await encoder.encode(changed)];
    const rows = 40 * encoder.width;
    expect(second.hidden.subarray(0, rows)).toEqual(first.hidden.subarray(0, rows));
    expect(second.hidden.subarray(rows, rows + encoder.width)).not.toEqual(
      first.hidden.subarray(rows, rows + encoder.width),
    );
  });

  it.each([
    [new Int32Array(76), {}, 'there are 76 ids, a text has 77'],
    [new Int32Array(77).fill(814), {}, 'ids[0] is 814'],
    [new Int32Array(77).fill(-1), {}, 'ids[0] is -1'],
    [new Int32Array(77), { skippedLayers: 4 }, 'skippedLayers is 4'],
    [new Int32Array(77), { skippedLayers: 0.5 }, 'skippedLayers is 0.5'],
  ])('refuses %#', async (given, options, message) => {
    await using encoder = await ClipTextEncoder.load(sd1, { device: 'reference' });
    await expect(encoder.encode(given, options)).rejects.toThrow(message);
  });

  it('reads the ids at the call', async () => {
    await using encoder = await ClipTextEncoder.load(sd1, { device: 'cpu' });
    const given = ids.slice();
    const running = encoder.encode(given);
    given.fill(1);
    expect(await running).toEqual(await encoder.encode(ids));
  });

  it('keeps its weights while texts are encoded, whoever frees them', async () => {
    await using encoder = await ClipTextEncoder.load(sd1, { device: 'cpu' });
    const expected = await encoder.encode(ids);
    const running = encoder.encode(ids);
    await encoder.release();
    expect(await running).toEqual(expected);
  });

  it('that is closed refuses more', async () => {
    const encoder = await ClipTextEncoder.load(sd1, { device: 'cpu' });
    await encoder.close();
    await expect(encoder.encode(ids)).rejects.toThrow('closed');
  });
});

describe('the folder of a text encoder', () => {
  const folder = temporaryFolder();

  async function edited(name: string, edit: object): Promise<string> {
    const place = join(folder, name);
    await cp(sd1, place, { recursive: true });
    const path = join(place, 'config.json');
    await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), ...edit }));
    return place;
  }

  async function withTensors(
    name: string,
    change: (tensors: Map<string, HostTensor>) => Map<string, HostTensor>,
  ): Promise<string> {
    const place = await edited(name, {});
    const path = join(place, 'model.safetensors');
    const header = await readSafetensorsHeader(path);
    const tensors = new Map<string, HostTensor>();
    for (const tensor of header.tensors.keys()) tensors.set(tensor, await readFloats(header, tensor));
    await writeSafetensors(path, change(tensors));
    return place;
  }

  it('may have names without text_model', async () => {
    const place = await withTensors(
      'bare',
      (tensors) => new Map([...tensors].map(([name, tensor]) => [name.replace('text_model.', ''), tensor])),
    );
    await using bare = await ClipTextEncoder.load(place, { device: 'cpu' });
    await using encoder = await ClipTextEncoder.load(sd1, { device: 'cpu' });
    expect(await bare.encode(ids)).toEqual(await encoder.encode(ids));
  });

  it('pools the first end where its configuration names the token', async () => {
    await using encoder = await ClipTextEncoder.load(sd1, { device: 'cpu' });
    const named = await edited('end', { eos_token_id: ids[2]! });
    await using other = await ClipTextEncoder.load(named, { device: 'cpu' });
    const [{ hidden }, { pooled }] = [await encoder.encode(ids), await other.encode(ids)];
    expect(ids.indexOf(ids[2]!)).toBe(2);
    expect(pooled.subarray(0, encoder.width)).toEqual(hidden.subarray(2 * encoder.width, 3 * encoder.width));
  });

  it('pools the first token of a text without that token', async () => {
    const none = Array.from({ length: 814 }, (_, id) => id).find((id) => !ids.includes(id))!;
    await using encoder = await ClipTextEncoder.load(await edited('none', { eos_token_id: none }), { device: 'cpu' });
    const { hidden, pooled } = await encoder.encode(ids.subarray(0, 2 * 77));
    for (const text of [0, 1]) {
      const first = text * 77 * encoder.width;
      const state = hidden.subarray(first, first + encoder.width);
      expect(pooled.subarray(text * encoder.width, (text + 1) * encoder.width)).toEqual(state);
    }
  });

  it.each([
    [{ hidden_act: 'relu' }, 'hidden_act'],
    [{ num_attention_heads: 5 }, 'num_attention_heads'],
    [{ num_hidden_layers: 2 }, 'encoder.layers.2'],
    [{ vocab_size: 815 }, 'token_embedding'],
    [{ max_position_embeddings: 76 }, 'position_embedding'],
    [{ eos_token_id: 814 }, 'eos_token_id'],
    [{ layer_norm_eps: 0 }, 'layer_norm_eps'],
    [{ hidden_size: null }, 'hidden_size'],
  ])('is refused with %j', async (edit, message) => {
    const place = await edited('edited', edit);
    await expect(ClipTextEncoder.load(place)).rejects.toThrow(message);
  });

  it('is refused when its table of tokens becomes shorter', async () => {
    const place = await edited('shorter', {});
    await using encoder = await ClipTextEncoder.load(place, { device: 'cpu' });
    await encoder.encode(ids);
    await rename(join(place, 'model.safetensors'), join(place, 'old.safetensors'));
    await writeFile(join(place, 'model.safetensors'), 'short');
    await expect(encoder.encode(ids)).rejects.toMatchObject({ code: 'ERR_DPM_FILE_TRUNCATED' });
  });
});
