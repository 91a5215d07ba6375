import { nativeWork } from '../base/errors.js';
import { openedDevice, type OpenedDevice } from '../checkpoint/load-network.js';
import { graphOfTensors, readWeights, type TrainableNetwork } from '../checkpoint/trainable.js';
import { cancellable } from '../engine/cancellable.js';
import { CheckpointTensors, type WeightTensors } from '../engine/checkpoint-tensors.js';
import { deviceOptionFacts, type Device } from '../engine/device.js';
import type { NativeTrainer } from '../engine/native-trainer.js';
import { unetGraph } from '../network/unet.js';
import { initialWeights } from './initial-weights.js';
import { nativeOptions } from './learning.js';
import { memoryOf, type TrainingMemory } from './memory.js';
import type { TrainerOptions } from './options.js';
import type { TrainingCheckpoint } from './run-folder/checkpoint-files.js';
import type { RunFolder } from './run-folder/run-folder.js';
import type { Trainee } from './trainee.js';

/** A run whose network is loaded. */
export interface LoadedRun {
  trainee: Trainee;
  opened: OpenedDevice;
  folder: RunFolder | null;
  trainer: NativeTrainer;
  places: CheckpointTensors;
  /** Tensors that do not learn, as frequencies of time embeddings. */
  fixed: WeightTensors;
  begun: { step: number; seconds: number };
  memory: TrainingMemory;
}

function secondsOf({ progress }: TrainingCheckpoint): number {
  const { seconds } = progress;
  return typeof seconds === 'number' && seconds >= 0 ? seconds : 0;
}

/** Loads the network onto the device, with the numbers of a checkpoint where there is one. */
async function loadTrainer(
  trainee: Trainee,
  device: Device,
  tensors: WeightTensors,
  newest: TrainingCheckpoint | null,
  { recompute, signal }: TrainerOptions,
): Promise<Pick<LoadedRun, 'trainer' | 'places' | 'memory'>> {
  const graph = graphOfTensors(trainee.trainable, tensors);
  const places = new CheckpointTensors(graph.constants);
  const trainer = await cancellable(signal, (cancel) =>
    nativeWork(() => device.engine.loadTrainer(graph, nativeOptions(trainee, recompute), cancel)),
  );
  try {
    for (const which of ['firstMoments', 'secondMoments', 'average'] as const) {
      if (newest === null) break;
      const values = places.scattered(newest.tensors[which], trainer.places());
      await nativeWork(() => trainer.write(which, values));
    }
    return { trainer, places, memory: memoryOf(trainee, trainer.info) };
  } catch (error) {
    await trainer.close();
    throw error;
  }
}

/** Gives the weights that a run begins with: those of its model, and random ones for what the model has not. */
async function firstWeights(
  trainable: TrainableNetwork,
  seed: number | bigint,
  signal: AbortSignal | undefined,
): Promise<WeightTensors> {
  const { weights, network, head } = trainable;
  if (weights === null) return initialWeights(network, seed);
  if (head === null || head.isBegun) return readWeights(trainable, weights, signal);
  const known = await readWeights({ network, graph: unetGraph(network.unet) }, weights, signal);
  return new Map([...known, ...(await initialWeights(network, seed, (key) => head.keys.has(key)))]);
}

/**
 * Loads the network of a run, with the numbers of its folder's newest checkpoint where there is one.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED`, `ERR_DPM_OUT_OF_MEMORY`, `ERR_DPM_ABORTED`, and those of reading the weights.
 */
export async function loadRun(trainee: Trainee, folder: RunFolder | null, options: TrainerOptions): Promise<LoadedRun> {
  const { trainable, settings } = trainee;
  const newest = folder?.newest ?? null;
  const initial = newest?.tensors.parameters ?? (await firstWeights(trainable, settings.seed, options.signal));
  const names = Object.keys(deviceOptionFacts) as (keyof typeof deviceOptionFacts)[];
  const device = Object.fromEntries(names.map((name) => [name, options[name]]));
  const opened = openedDevice(device, 'trainer');
  try {
    const { trainer, places, memory } = await loadTrainer(trainee, opened.device, initial, newest, options);
    const at = newest === null ? { step: 0, seconds: 0 } : { step: newest.step, seconds: secondsOf(newest) };
    const learned = places.namesOf(trainer.places().places);
    // Those that learn are in the engine, whose memory is enough.
    const fixed = new Map([...initial].filter(([name]) => !learned.has(name)));
    return { trainee, opened, folder, trainer, places, fixed, begun: at, memory };
  } catch (error) {
    if (opened.isOwn) await opened.device.close();
    throw error;
  }
}
