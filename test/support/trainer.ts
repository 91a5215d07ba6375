// Trainers of fixture networks, and samples that goldens give.
import { loadableNetwork } from '../../lib/checkpoint/model-folder.js';
import { readModelFolder } from '../../lib/checkpoint/read-model.js';
import { headNames } from '../../lib/checkpoint/heads.js';
import { isOfHead } from '../../lib/checkpoint/trainable-head.js';
import type { NativeParameterTensor, NativeTrainer, NativeTrainerOptions } from '../../lib/engine/native-trainer.js';
import { CheckpointTensors } from '../../lib/engine/checkpoint-tensors.js';
import { NoiseSchedule } from '../../lib/schedule/noise-schedule.js';
import { trainingLevels } from '../../lib/training/levels.js';
import { Device } from '../../lib/engine/device.js';

/** Options that a test says nothing about: Adam on the noise, on the linear schedule. */
export const standardOptions = {
  divisor: null,
  images: null,
  labels: null,
  cropMargin: 0,
  flips: false,
  levels: trainingLevels(NoiseSchedule.linear(), null, { prediction: 'epsilon', snrGamma: 0 }),
  levelSampling: 'uniform',
  loss: 'prediction',
  accumulate: 1,
  clip: 0,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  decay: 0,
  seed: Uint32Array.of(1, 0),
  labelDropout: 0,
  nullLabel: -1,
} satisfies Partial<NativeTrainerOptions>;

/** A trainer of a model folder's network, with its device and the tensors of its checkpoint. */
export interface OpenTrainer {
  trainer: NativeTrainer;
  device: Device;
  /** Elements of an image. */
  elements: number;
  /** Reads a tensor of numbers, by the names of the checkpoint's tensors. */
  tensors: (which: NativeParameterTensor) => Promise<Map<string, Float32Array>>;
  [Symbol.asyncDispose]: () => Promise<void>;
}

/** Opens a trainer of a network, or of its head; null where the device does not compute gradients of all weights. */
export async function openTrainer(
  folder: string,
  deviceName: string,
  options: Partial<NativeTrainerOptions> & { batch: number },
): Promise<OpenTrainer | null> {
  const { loss } = options;
  const head = headNames.find((name) => name === loss) ?? null;
  const { unet, graph } = await loadableNetwork(await readModelFolder(folder), head);
  const ofHead = graph.constants.flatMap(({ name }, i) => (isOfHead(name) ? [i] : []));
  const learned = head === null ? {} : { learned: ofHead };
  const device = Device.open({ device: deviceName, threads: 2 });
  try {
    const trainer = await device.engine.loadTrainer(graph, {
      ...standardOptions,
      classes: unet.classes,
      ...learned,
      ...options,
    });
    const places = new CheckpointTensors(graph.constants);
    return {
      trainer,
      device,
      elements: unet.inChannels * unet.height * unet.width,
      tensors: async (which) => places.gathered(await trainer.read(which), trainer.places().places),
      [Symbol.asyncDispose]: async () => {
        await trainer.close();
        await device.close();
      },
    };
  } catch (error) {
    await device.close();
    if (error instanceof Error && 'code' in error && error.code === 'ERR_DPM_UNSUPPORTED') return null;
    throw error;
  }
}

/** x = 2 u / 255 - 1 of levels. */
export function fromLevels(levels: Float32Array): Float32Array {
  return levels.map((level) => (2 * level) / 255 - 1);
}
