// Training of a network that sees texts: what of them reaches the engine, and what is refused by name.
import { describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import type { NativeGraph } from '../../../lib/engine/native-graph.js';
import type {
  NativeTrainer,
  NativeTrainerOptions,
  NativeTrainerSamples,
  NativeTrainingSteps,
} from '../../../lib/engine/native-trainer.js';
import { GraphBuilder } from '../../../lib/network/graph.js';
import { copied, linear } from '../../../lib/network/layers.js';
import { standardOptions } from '../../support/trainer.js';

const vocabulary = 3;
const tokens = 2;
/** What a pixel is multiplied by, and what the token of each id adds to it. */
const factor = 0.5;
const additions = [0.25, -1, 2];

/** A network that adds a number of each token to the pixel of its place. */
function reader(width = 1): NativeGraph {
  const builder = new GraphBuilder();
  const image = builder.input('image', { channels: 1, height: tokens, width });
  const text = builder.input('context', { channels: vocabulary, height: tokens, width });
  const ofImage = linear(builder, 'pixels', copied(builder, 'x', image), 1, false);
  const ofText = linear(builder, 'words', copied(builder, 'c', text), 1, false);
  builder.output('output', builder.add({ op: 'add' }, 'sum', [ofImage, ofText]));
  const { values, nodes, constants } = builder.build();
  const given = { 'pixels.weight': [factor], 'words.weight': additions };
  return {
    values,
    nodes,
    constants: constants.map(({ name, shape }) => ({
      name,
      shape,
      values: Float32Array.from(given[name as keyof typeof given]),
    })),
    files: [],
  };
}

/** One level, at which the network sees 0.8 times the image and 0.6 times the noise, and learns the noise. */
const levels = {
  images: Float64Array.of(0.8),
  noises: Float64Array.of(0.6),
  dataTargets: Float64Array.of(0),
  noiseTargets: Float64Array.of(1),
  weights: Float64Array.of(1),
  times: Float32Array.of(1),
};

const options: NativeTrainerOptions = { ...standardOptions, classes: 0, levels, batch: 2 };

/** Three images, of which the last one has two texts. */
const data = {
  images: Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
  tokens: Int32Array.of(0, 1, 1, 2, 2, 0, 1, 1),
  firstTexts: Uint32Array.of(0, 1, 2, 4),
};

function requestOf(samples: NativeTrainerSamples | null, steps = 1): NativeTrainingSteps {
  return {
    firstStep: 0,
    rates: new Float64Array(steps),
    averageDecays: new Float64Array(steps),
    samples,
    cancel: null,
    onProgress: null,
    progressMilliseconds: 0,
  };
}

/** Samples of two texts. */
function samplesOf(ids: readonly number[]): NativeTrainerSamples {
  return {
    images: Float32Array.of(1, 2, -1, 0.5),
    noise: Float32Array.of(0.5, -0.5, 1, 2),
    levels: Uint32Array.of(1, 1),
    labels: null,
    tokens: Int32Array.from(ids),
  };
}

/** Computes the loss of {@link samplesOf} anew. */
function lossOf(ids: readonly number[]): number {
  const { images, noise } = samplesOf(ids);
  const squares = ids.map((id, i) => {
    const out = factor * (0.8 * images[i]! + 0.6 * noise[i]!) + additions[id]!;
    return (out - noise[i]!) ** 2;
  });
  return squares.reduce((sum, square) => sum + square) / squares.length;
}

async function withTrainer<T>(
  changed: Partial<NativeTrainerOptions>,
  use: (trainer: NativeTrainer) => Promise<T>,
  { device: name = 'cpu', graph = reader() } = {},
): Promise<T> {
  const device = Device.open({ device: name, threads: 1 });
  try {
    const trainer = await device.engine.loadTrainer(graph, { ...options, ...changed });
    return await use(trainer);
  } finally {
    await device.close();
  }
}

/** Losses of steps whose samples are drawn. */
async function drawnLosses(changed: Partial<NativeTrainerOptions>): Promise<readonly number[]> {
  return withTrainer(changed, async (trainer) => [...(await trainer.run(requestOf(null, 8))).losses]);
}

describe('a trainer of a network that sees texts', () => {
  it.each(['reference', 'cpu'])('sees each token at its place, of every evaluation its own, on %s', async (device) => {
    const texts = [
      [0, 1, 2, 2],
      [1, 0, 2, 2],
      [2, 1, 0, 1],
    ];
    const use = async (trainer: NativeTrainer): Promise<void> => {
      for (const ids of texts) {
        const { losses } = await trainer.run(requestOf(samplesOf(ids)));
        expect(losses[0]).toBeCloseTo(lossOf(ids), 5);
      }
      // What was given may be changed as soon as the call is made.
      const samples = samplesOf(texts[0]!);
      const running = trainer.run(requestOf(samples));
      samples.tokens!.fill(2);
      expect((await running).losses[0]).toBeCloseTo(lossOf(texts[0]!), 5);
    };
    await withTrainer({}, use, { device });
  });

  it('draws texts and drops them', async () => {
    const all = await drawnLosses(data);
    const sameTexts = { ...data, tokens: new Int32Array(8).fill(1) };
    const same = await drawnLosses(sameTexts);
    expect(same).not.toEqual(all);
    const nullTokens = Int32Array.of(1, 1);
    expect(await drawnLosses({ ...data, nullTokens })).toEqual(all);
    expect(await drawnLosses({ ...data, nullTokens, textDropout: 1 })).toEqual(same);
    const some = await drawnLosses({ ...data, nullTokens, textDropout: 0.5 });
    expect(some).not.toEqual(all);
    expect(some).not.toEqual(same);
    // The last image has either of two texts.
    expect(await drawnLosses({ ...data, tokens: data.tokens.with(7, 2) })).not.toEqual(all);
    expect(await drawnLosses({ ...data, tokens: data.tokens.with(5, 2) })).not.toEqual(all);
  });

  it('copies texts at the call', async () => {
    const given = {
      ...data,
      tokens: data.tokens.slice(),
      firstTexts: data.firstTexts.slice(),
      nullTokens: Int32Array.of(1, 1),
      textDropout: 0.5,
    };
    const expected = await drawnLosses(given);
    const device = Device.open({ device: 'cpu', threads: 1 });
    const loading = device.engine.loadTrainer(reader(), { ...options, ...given });
    given.tokens.fill(2);
    given.firstTexts.fill(9);
    given.nullTokens.fill(0);
    const { losses } = await (await loading).run(requestOf(null, 8));
    await device.close();
    expect([...losses]).toEqual(expected);
  });

  it.each<[string, string, Partial<NativeTrainerOptions>]>([
    ['no texts', 'tokens: the network sees texts', { images: data.images }],
    ['null instead of texts', 'tokens: the network sees texts', { ...data, tokens: null, firstTexts: null }],
    ['ids out of range', 'tokens: one is out of range', { ...data, tokens: data.tokens.with(0, vocabulary) }],
    ['part of a text', 'tokens: the last text is not whole', { ...data, tokens: data.tokens.subarray(1) }],
    ['texts of other numbers', 'tokens', { ...data, tokens: Float32Array.from(data.tokens) as never }],
    ['no word of whose texts they are', 'firstTexts', { ...data, firstTexts: null }],
    ['an image without a text', 'firstTexts have to rise', { ...data, firstTexts: Uint32Array.of(0, 1, 1, 4) }],
    ['firstTexts of other numbers', 'firstTexts', { ...data, firstTexts: Int32Array.of(0, 1, 2, 4) as never }],
    ['dropping without a text for none', 'nullTokens', { ...data, textDropout: 0.1 }],
    ['a short text for none', 'nullTokens', { ...data, nullTokens: Int32Array.of(1) }],
    ['a text for none of other numbers', 'nullTokens', { ...data, nullTokens: [1, 1] as never }],
    ['no probability', 'textDropout', { ...data, nullTokens: Int32Array.of(1, 1), textDropout: 1.5 }],
    ['a word for a probability', 'textDropout', { ...data, textDropout: 'often' as never }],
  ])('refuses %s by name', async (_, message, changed) => {
    await expect(withTrainer(changed, () => Promise.resolve())).rejects.toThrow(message);
    await expect(withTrainer(changed, () => Promise.resolve())).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
  });

  it('refuses given texts by name', async () => {
    const given = samplesOf([0, 1, 2, 2]);
    const refused = async (samples: object, message: string): Promise<void> => {
      const run = async (trainer: NativeTrainer): Promise<unknown> => trainer.run(requestOf({ ...given, ...samples }));
      await expect(withTrainer({}, run)).rejects.toThrow(message);
    };
    await refused({ tokens: null }, 'samples.tokens: there has to be a text for each sample');
    await refused({ tokens: undefined }, 'samples.tokens: there has to be a text for each sample');
    await refused({ tokens: Int32Array.of(0, 1) }, 'samples.tokens: there has to be a text for each sample');
    await refused({ tokens: Int32Array.of(0, 1, 2, -1) }, 'samples.tokens: one is out of range');
    await refused({ tokens: Uint32Array.of(0, 1, 2, 2) }, 'tokens');
  });

  it('is none of a context that is no line of tokens', async () => {
    const wide = withTrainer({}, () => Promise.resolve(), { graph: reader(2) });
    await expect(wide).rejects.toMatchObject({ code: 'ERR_DPM_UNSUPPORTED' });
  });
});
