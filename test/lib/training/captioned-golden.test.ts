// A text encoder and a U-Net that learn together, against twenty steps of PyTorch with diffusers and transformers in float64.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { nativeGraph } from '../../../lib/checkpoint/checkpoint.js';
import { bindTensors } from '../../../lib/checkpoint/family.js';
import { trainableCaptioned } from '../../../lib/checkpoint/pipelines/trainable-captioned.js';
import { readObject } from '../../../lib/checkpoint/read-model.js';
import { CheckpointTensors } from '../../../lib/engine/checkpoint-tensors.js';
import { Device } from '../../../lib/index.js';
import { trainingLevels } from '../../../lib/training/levels.js';
import { defaultPipeline } from '../../../lib/training/captions/default-pipeline.js';
import { pipelineWeights } from '../../../lib/training/captions/given-pipeline.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { packagePath } from '../../support/temporary.js';
import { readTensors } from '../../support/tensors.js';
import { standardOptions } from '../../support/trainer.js';

interface Facts {
  steps: number;
  batch: number;
  clip: number;
  average: number;
  optimizer: { betas: [number, number]; epsilon: number; weightDecay: number };
  log: { loss: number; gradientNorm: number; lr: number }[];
  /** Tensors without a gradient: what is one for all pixels before a norm of single channels. */
  vanishing: string[];
  /** L2 norm of the way of each tensor. */
  moved: Record<string, number>;
}

const golden = packagePath('test/fixtures/gradients/training/captioned-v');
const sd1 = join(latentFixtures, 'sd1');

/** Names of tensors here; the library has left out a part of those of the text encoder. */
const ownName = (name: string): string => name.replace(/^text_encoder\.(?!text_model\.)/, 'text_encoder.text_model.');

const squares = (values: Float32Array): number => values.reduce((sum, value) => sum + value * value, 0);

async function readTrainable() {
  const [unet, textEncoder] = await Promise.all(
    ['unet', 'text_encoder'].map((part) => readObject(join(sd1, part, 'config.json'))),
  );
  const { scheduler } = defaultPipeline([4, 8, 8]);
  const weights = await pipelineWeights(sd1);
  const configs = { unet: unet!, textEncoder: textEncoder!, scheduler };
  const trainable = trainableCaptioned(configs, 'sd1', [4, 8, 8], weights);
  const { checkpoint } = bindTensors(trainable.network, trainable.graph, weights);
  return { trainable, graph: nativeGraph(trainable.graph, checkpoint) };
}

describe.each(['reference', 'cpu'])('a run of captions on %s', (name) => {
  it('has the losses, norms and weights of another engine', { timeout: 60_000 }, async () => {
    const facts = JSON.parse(await readFile(`${golden}.json`, 'utf8')) as Facts;
    const { images, noise, n, tokens, ...expected } = await readTensors(`${golden}.safetensors`);
    const { trainable, graph } = await readTrainable();
    const { batch, clip, optimizer, log } = facts;
    await using device = Device.open({ device: name, threads: 2 });
    const trainer = await device.engine.loadTrainer(graph, {
      ...standardOptions,
      classes: 0,
      levels: trainingLevels(trainable.schedule, null, { prediction: 'v', snrGamma: 0 }),
      batch,
      clip,
      beta1: optimizer.betas[0],
      beta2: optimizer.betas[1],
      epsilon: optimizer.epsilon,
      decay: optimizer.weightDecay,
    });
    try {
      const places = new CheckpointTensors(graph.constants);
      const tensors = async (which: 'parameters' | 'average') =>
        places.gathered(await trainer.read(which), trainer.places().places);
      const before = await tensors('parameters');
      const { losses, norms } = await trainer.run({
        firstStep: 0,
        rates: Float64Array.from(log, ({ lr }) => lr),
        averageDecays: new Float64Array(facts.steps).fill(facts.average),
        samples: {
          images: images!,
          noise: noise!,
          levels: Uint32Array.from(n!),
          labels: null,
          tokens: Int32Array.from(tokens!),
        },
        cancel: null,
        onProgress: null,
        progressMilliseconds: 0,
      });
      log.forEach(({ loss, gradientNorm }, step) => {
        expect(Math.abs(losses[step]! / loss - 1), `loss of step ${step}`).toBeLessThan(2e-5);
        expect(Math.abs(norms[step]! / gradientNorm - 1), `norm of step ${step}`).toBeLessThan(2e-5);
      });
      const [ends, averages] = [await tensors('parameters'), await tensors('average')];
      expect([...ends.keys()].toSorted()).toEqual(Object.keys(facts.moved).map(ownName).toSorted());
      for (const [tensor, way] of Object.entries(facts.moved)) {
        // Adam makes whole steps of what rounding leaves of them.
        if (facts.vanishing.includes(tensor)) continue;
        const [end, start] = [ends.get(ownName(tensor))!, before.get(ownName(tensor))!];
        const own = Math.sqrt(squares(end.map((value, i) => value - start[i]!)));
        expect(Math.abs(own / way - 1), `way of ${tensor}`).toBeLessThan(5e-3);
      }
      expect(Object.keys(expected).length).toBeGreaterThan(100);
      for (const [key, values] of Object.entries(expected)) {
        const tensor = key.slice(key.indexOf('.') + 1);
        const found = (key.startsWith('average.') ? averages : ends).get(ownName(tensor))!;
        const error = Math.sqrt(squares(values.map((value, i) => value - found[i]!)));
        expect(error / facts.moved[tensor]!, key).toBeLessThan(5e-3);
      }
    } finally {
      await trainer.close();
    }
  });
});
