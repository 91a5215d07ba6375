// What the network of a pipeline with two text encoders sees of texts, beside the states of their tokens.
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { resolveCall } from '../../../lib/latents/resolve-call.js';
import { closePipeline, loadPipeline, type LoadedPipeline } from '../../../lib/latents/load-pipeline.js';
import { promptedSamples, requireRoomForSamples } from '../../../lib/latents/prompted-samples.js';
import { latentFixtures } from '../../support/latent-goldens.js';

let pipeline: LoadedPipeline;
beforeAll(async () => {
  pipeline = await loadPipeline(join(latentFixtures, 'sdxl'), { device: 'cpu', threads: 1 });
});
afterAll(() => closePipeline(pipeline));

it('the memory of samples is that of the largest batch, with two states for each that is guided', async () => {
  const rowsOf = async (guided: readonly boolean[], batch: number): Promise<number> => {
    const seen: { batch: number; tokens: number }[] = [];
    const unet = {
      bytesFor: (size: { batch: number; tokens: number }) => {
        seen.push(size);
        return Promise.resolve(0);
      },
    };
    const samples = guided.map((isGuided, i) => ({
      positive: { context: { tokens: 77 * (i + 1) } },
      negative: isGuided ? {} : null,
    }));
    const size = { height: 8, width: 8, batch, controls: [] };
    await requireRoomForSamples(unet as never, samples as never, size);
    expect(seen.map(({ tokens }) => tokens)).toEqual([77 * guided.length]);
    return seen[0]!.batch;
  };
  const guided = [true, false, false, false, true, true, false];
  expect(await Promise.all([1, 2, 3, 4, 7].map((batch) => rowsOf(guided, batch)))).toEqual([2, 4, 5, 5, 10]);
});

describe('the pooled states', () => {
  it('of a text in parts are those of its first part', async () => {
    const { encoders } = pipeline.networks.current;
    const words = Math.floor(75 / encoders.tokenize('ship').ids.length);
    const [whole, first, last] = await encoders.encode(
      [
        { text: 'ship '.repeat(words + 3), chunks: 2 },
        { text: 'ship '.repeat(words), chunks: null },
        { text: 'ship '.repeat(3), chunks: null },
      ],
      0,
    );
    expect(whole!.pooled).toEqual(first!.pooled);
    expect(whole!.pooled).not.toEqual(last!.pooled);
    expect(whole!.hidden).toEqual(Float32Array.from([...first!.hidden, ...last!.hidden]));
  });

  it('of more texts than are encoded at once are those of each alone', async () => {
    const { encoders } = pipeline.networks.current;
    const texts = Array.from({ length: 18 }, (_, i) => ({ text: 'ship '.repeat(i + 1), chunks: null }));
    const all = await encoders.encode(texts, 0);
    for (const i of [0, 15, 16, 17]) expect([all[i]], `text ${i}`).toEqual(await encoders.encode([texts[i]!], 0));
  });

  it('of no negative prompt are zeros, as the states are', async () => {
    const { defaults } = pipeline;
    const { encoders, unet } = pipeline.networks.current;
    const sides = { side: 16, factor: 2, latentChannels: 4, imageChannels: 3, controlNets: [] };
    const call = resolveCall({ prompt: 'a cat' }, { ...defaults, ...sides }, false);
    const none = await unet.prepare(new Float32Array(encoders.tokens * encoders.width), 1);
    const { samples } = await promptedSamples({ encoders, unet, zerosForNone: true }, call);
    const { positive, negative } = samples[0]!;
    expect(negative!.context.data).toEqual(none.data);
    expect(negative!.pooled).toEqual(new Float32Array(positive.pooled!.length));
    expect(positive.pooled!.some((value) => value !== 0)).toBe(true);
  });
});
