// A text encoder and a U-Net that learn together, against the two apart.
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { bindTensors } from '../../../lib/checkpoint/family.js';
import { readConditional } from '../../../lib/checkpoint/pipelines/conditional.js';
import { readTextEncoder, tokenTable } from '../../../lib/checkpoint/pipelines/text-encoder.js';
import { trainableCaptioned } from '../../../lib/checkpoint/pipelines/trainable-captioned.js';
import { openTable } from '../../../lib/checkpoint/table-rows.js';
import { readObject } from '../../../lib/checkpoint/read-model.js';
import { ClipTextEncoder, ConditionalUNet, Device } from '../../../lib/index.js';
import { transposed } from '../../../lib/latents/tokens.js';
import { trainedConditionalGraph } from '../../../lib/network/conditional.js';
import { textEncoderGraph } from '../../../lib/network/text-encoder.js';
import { pipelineWeights } from '../../../lib/training/captions/given-pipeline.js';
import { expectNear, gradientsOf } from '../../support/latent-gradients.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { largest } from '../../support/tensors.js';
import { namedNumbers } from '../../support/splitmix.js';

const sd1 = join(latentFixtures, 'sd1');
const [channels, height, width, tokens] = [4, 6, 8, 77];
const times = [17, 803];

/** Ids of two texts, which begin with 0 and end at different places. */
const ids = Int32Array.from({ length: 2 * tokens }, (_, i) => (i % tokens === 0 ? 0 : (37 * i + 11) % 812) + 1);

const oneHot = (vocabulary: number): Float32Array => {
  const maps = new Float32Array(2 * vocabulary * tokens);
  ids.forEach((id, i) => {
    maps[Math.floor(i / tokens) * vocabulary * tokens + id * tokens + (i % tokens)] = 1;
  });
  return maps;
};

const readJoint = async () => {
  const [unet, textEncoder, scheduler] = await Promise.all(
    ['unet/config.json', 'text_encoder/config.json', 'scheduler/scheduler_config.json'].map((name) =>
      readObject(join(sd1, name)),
    ),
  );
  const weights = await pipelineWeights(sd1);
  const configs = { unet: unet!, textEncoder: textEncoder!, scheduler: scheduler! };
  return { weights, trainable: trainableCaptioned(configs, 'sd1', [channels, height, width], weights) };
};

/** Compares gradients by the largest of them: those of biases before norms are rounding alone. */
function expectWeights(
  joint: ReadonlyMap<string, Float32Array>,
  prefix: string,
  apart: ReadonlyMap<string, Float32Array>,
): void {
  const most = Math.max(...Array.from(apart.values(), largest));
  for (const [name, values] of apart) {
    const found = joint.get(prefix + name)!;
    const furthest = largest(values.map((value, i) => value - found[i]!));
    expect(furthest / Math.max(largest(values), 1e-6 * most), name).toBeLessThan(1e-4);
  }
}

describe.each(['reference', 'cpu'])('a text encoder and a U-Net in one graph on %s', (name) => {
  it('predict what they predict apart, and have the same gradients', async () => {
    const { weights, trainable } = await readJoint();
    const { graph, network, text } = trainable;
    const { checkpoint, report } = bindTensors(network, graph, weights);
    expect(report).toMatchObject({ missing: [], misshapen: [], unused: [] });
    const image = Float32Array.from(namedNumbers('image', 2 * channels * height * width));
    const cotangent = Float32Array.from(namedNumbers('cotangent', image.length));
    await using device = Device.open({ device: name, threads: 2 });
    const joint = await gradientsOf(device, graph, checkpoint, {
      image,
      cotangent,
      times,
      context: oneHot(text.vocabulary),
    });

    await using encoder = await ClipTextEncoder.load(join(sd1, 'text_encoder'), { device });
    await using unet = await ConditionalUNet.load(join(sd1, 'unet'), { device });
    const { hidden } = await encoder.encode(ids);
    const apart = await unet.forward(image, times, { height, width, context: hidden });
    expectNear(joint.out, apart, 2e-5);

    const ofUNet = await readConditional(join(sd1, 'unet'));
    const second = await gradientsOf(
      device,
      trainedConditionalGraph(ofUNet.description, { height, width, tokens }),
      ofUNet.checkpoint,
      { image, cotangent, times, context: transposed(hidden, 2, tokens) },
    );
    expectNear(joint.image, second.image, 2e-5);
    expectWeights(joint.weights, 'unet.', second.weights);

    const ofText = await readTextEncoder(join(sd1, 'text_encoder'));
    const rows = await tableRows(join(sd1, 'text_encoder'), text.width);
    const first = await gradientsOf(
      device,
      textEncoderGraph(ofText.description, { layers: text.layers, normed: true, pooled: false }),
      ofText.checkpoint,
      { image: transposed(rows, 2, tokens), cotangent: second.context },
    );
    const prefix = 'text_encoder.text_model.';
    expectWeights(joint.weights, prefix, first.weights);
    const table = new Float32Array(text.vocabulary * text.width);
    transposed(first.image, 2, text.width).forEach((value, i) => {
      table[ids[Math.floor(i / text.width)]! * text.width + (i % text.width)]! += value;
    });
    expectNear(joint.weights.get(`${prefix}embeddings.token_embedding.weight`)!, table, 1e-4);
    expect(joint.weights.size).toBe(second.weights.size + first.weights.size + 1);
  });
});

/** Rows of the table of tokens. */
async function tableRows(folder: string, states: number): Promise<Float32Array> {
  const { checkpoint } = await readTextEncoder(folder);
  const rows = await openTable(checkpoint, tokenTable).rows(ids);
  expect(rows.length).toBe(ids.length * states);
  return rows;
}
