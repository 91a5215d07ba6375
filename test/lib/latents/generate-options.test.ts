// What a call of text to image is where it says nothing: the facts of its options.
import { expect, it } from 'vitest';

import { standardText, type OptionFact } from '../../../lib/base/option-facts.js';
import {
  generateDefaults,
  generateKinds,
  generateOptionFacts,
  type GenerateOptions,
  longPrompts,
} from '../../../lib/latents/generate-options.js';
import { invertKinds, invertOptionFacts } from '../../../lib/latents/inversion.js';
import { resolveCall } from '../../../lib/latents/resolve-call.js';
import { pipelineOptionFacts, pipelineLoadKinds } from '../../../lib/latents/load-pipeline.js';
import { checkedLoras, loraDefaults, loraOptionFacts } from '../../../lib/latents/loras.js';
import { checkOptions, type OptionKinds } from '../../../lib/base/option-kinds.js';
import { pipelinePresets } from '../../../lib/checkpoint/pipelines/single-file/presets.js';

const pipeline = {
  seesScore: false,
  guidance: 7.5,
  steps: 50,
  side: 32,
  factor: 2,
  latentChannels: 4,
  imageChannels: 3,
  controlNets: [],
};

it('a call has the defaults that the facts tell', () => {
  const { longPrompts: long, first, previewEvery, strength, ...standards } = generateDefaults;
  expect({ long, first, previewEvery, strength, ...standards }).toEqual({
    long: 'truncate',
    strength: 0.8,
    first: 0,
    previewEvery: 1,
    sampler: 'scheduler',
    seed: 0,
    skippedLayers: 0,
    guidanceRescale: 0,
    batch: 4,
    output: 'images',
  });
  const call = resolveCall({ prompt: 'a cat' }, pipeline, false);
  expect(call).toMatchObject({ ...standards, isChunked: false, count: 1, guidance: [7.5], steps: 50 });
  // What does not depend on the call alone: as resolved by runs.
  expect(call).toMatchObject({ first: undefined, previewEvery: undefined, tile: undefined, negatives: null });
  const said = resolveCall({ prompt: 'a cat', longPrompts: long, first, ...standards }, pipeline, false);
  expect(said).toEqual({ ...call, first });
  // A strength is for a picture, of which a call without one has none.
  expect(call.picture).toBeNull();
  const image = new Float32Array(pipeline.latentChannels * (pipeline.side / pipeline.factor) ** 2);
  expect(resolveCall({ prompt: 'a cat', image }, pipeline, false).picture).toMatchObject({ strength, mask: null });
  expect(resolveCall({ prompt: ['a cat', 'a dog'] }, pipeline, false).count).toBe(2);
  expect(generateOptionFacts.count.otherwise).toBe('one for each prompt');
});

it('seeds are others behind a hand-over, by its share, and stay those of their images', () => {
  const image = new Float32Array(pipeline.latentChannels * (pipeline.side / pipeline.factor) ** 2);
  const resolved = (seed: GenerateOptions['seed'], denoisingStart?: number) =>
    resolveCall({ prompt: 'a cat', count: 2, image, seed, denoisingStart }, pipeline, false);
  expect(resolved(5).seed).toBe(5);
  const all = [5, 6].flatMap((seed) => [0.5, 0.75].map((share) => resolved(seed, share).seed));
  expect(new Set([5n, 6n, ...all]).size).toBe(6);
  for (const seed of all) expect(BigInt.asUintN(64, seed as bigint)).toBe(seed);
  expect(resolved([5, 2n ** 64n - 1n], 0.5).seeds).toEqual([resolved(5, 0.5).seed, resolved(2n ** 64n - 1n, 0.5).seed]);
});

it('files of additions have the defaults that the facts tell', () => {
  expect(checkedLoras([{ path: 'a.safetensors' }])).toEqual([{ path: 'a.safetensors', ...loraDefaults }]);
  expect(loraDefaults).toEqual({ scale: 1, allowPartial: false });
  for (const [name, { kind }] of Object.entries<OptionFact>(loraOptionFacts)) {
    expect(() => checkedLoras([{ path: 'a.safetensors', [name]: [] }]), name).toThrow(kind.expected);
  }
});

it.each<[string, Readonly<Record<string, OptionFact>>, OptionKinds<object>]>([
  ['generation', generateOptionFacts, generateKinds],
  ['inversion', invertOptionFacts, invertKinds],
  ['pipeline', pipelineOptionFacts, pipelineLoadKinds],
])('options of %s are checked by their facts', (_, facts, table) => {
  for (const [name, { kind }] of Object.entries(facts)) {
    const wrong = [Symbol('of no kind'), {}, NaN].find((value) => !kind.holds(value));
    expect(() => {
      checkOptions('a call', { [name]: wrong }, table);
    }, name).toThrow(`${name} `);
  }
});

it('name what may be chosen', () => {
  for (const name of longPrompts) expect(generateOptionFacts.longPrompts.help).toContain(name);
  for (const name of Object.keys(pipelinePresets)) expect(pipelineOptionFacts.config.help).toContain(name);
  for (const name of ['all', 'unet', 'none']) expect(pipelineOptionFacts.keep.help).toContain(name);
  for (const name of ['epsilon', 'v', 'x0']) expect(pipelineOptionFacts.prediction.help).toContain(name);
  expect(standardText(pipelineOptionFacts.keep)).toBe('all');
});
