import { DpmError, nativeWork } from '../base/errors.js';
import { openedDevice, type OpenedDevice } from '../checkpoint/load-network.js';
import { graphOfFile, graphOfTensors, readWeights, type TrainableNetwork } from '../checkpoint/trainable.js';
import { cancellable } from '../engine/cancellable.js';
import { CheckpointTensors, sourcesOf, type TensorSources, type WeightTensors } from '../engine/checkpoint-tensors.js';
import type { Device } from '../engine/device.js';
import type { NativeGraph } from '../engine/native-graph.js';
import type { NativeTrainer } from '../engine/native-trainer.js';
import { initialWeightsOf } from './initial-weights.js';
import { nativeOptions } from './learning.js';
import { memoryOf, type TrainingMemory } from './memory.js';
import type { TrainerOptions } from './options.js';
import type { WholeCheckpoint } from './run-folder/checkpoint-files.js';
import type { RunFolder } from './run-folder/run-folder.js';
import { deviceOptionsOf } from './taken-options.js';
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

function secondsOf({ progress }: WholeCheckpoint): number {
  const { seconds } = progress;
  return typeof seconds === 'number' && seconds >= 0 ? seconds : 0;
}

/** Gives the trainer the moments and the average of a checkpoint. */
async function goOn(
  trainer: NativeTrainer,
  places: CheckpointTensors,
  newest: WholeCheckpoint,
  { levelSampling }: Trainee['settings'],
): Promise<void> {
  const learned = trainer.places();
  // One array for all: what a process has let go of may stay in its memory for a while.
  const numbers = new Float32Array(learned.elements);
  for (const which of ['firstMoments', 'secondMoments', 'average'] as const) {
    await places.scatter(newest.part(which), learned.places, numbers);
    await nativeWork(() => trainer.write(which, numbers));
  }
  if (levelSampling === 'uniform') return;
  const losses = await newest.levelLosses();
  if (losses === null) {
    throw new DpmError('ERR_DPM_CONFIG', `${newest.weights}: beside it are no losses that levels are drawn by`);
  }
  await nativeWork(() => trainer.setLevelLosses(losses));
}

/** Gives the tensors that do not learn. */
async function fixedOf(tensors: TensorSources, learned: ReadonlySet<string>): Promise<WeightTensors> {
  const fixed = new Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>();
  for (const [name, { shape, data }] of tensors) {
    // What is lent has to be copied.
    if (!learned.has(name)) fixed.set(name, { shape, data: (await data()).slice() });
  }
  return fixed;
}

/** A graph of weights, and the tensors that they are. */
interface GivenWeights {
  graph: NativeGraph;
  tensors: TensorSources;
}

/** Loads the network onto the device, with the numbers of a checkpoint where there is one. */
async function loadTrainer(
  trainee: Trainee,
  device: Device,
  { graph, tensors }: GivenWeights,
  newest: WholeCheckpoint | null,
  { recompute, signal }: TrainerOptions,
): Promise<Pick<LoadedRun, 'trainer' | 'places' | 'fixed' | 'memory'>> {
  const places = new CheckpointTensors(graph.constants);
  const trainer = await cancellable(signal, (cancel) =>
    nativeWork(() => device.engine.loadTrainer(graph, nativeOptions(trainee, recompute), cancel)),
  );
  try {
    if (newest !== null) await goOn(trainer, places, newest, trainee.settings);
    // Those that learn are in the engine, whose memory is enough.
    const fixed = await fixedOf(tensors, places.namesOf(trainer.places().places));
    return { trainer, places, fixed, memory: memoryOf(trainee, trainer.info, fixed) };
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
  const { weights, network, graph, alone, head } = trainable;
  if (weights === null) return initialWeightsOf(network, graph, seed);
  if (head === null || head.isBegun) return readWeights(trainable, weights, signal);
  const known = await readWeights({ network, graph: alone }, weights, signal);
  return new Map([...known, ...(await initialWeightsOf(network, graph, seed, (key) => head.keys.has(key)))]);
}

/** Gives the weights of a checkpoint, or those that a run begins with. */
async function weightsOf(
  trainable: TrainableNetwork,
  newest: WholeCheckpoint | null,
  seed: number | bigint,
  signal: AbortSignal | undefined,
): Promise<GivenWeights> {
  if (newest !== null) {
    return { graph: await graphOfFile(trainable, newest.weights), tensors: newest.part('parameters') };
  }
  const first = await firstWeights(trainable, seed, signal);
  return { graph: graphOfTensors(trainable, first), tensors: sourcesOf(first) };
}

/**
 * Loads the network of a run, with the numbers of its folder's newest checkpoint where there is one.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED`, `ERR_DPM_OUT_OF_MEMORY`, `ERR_DPM_ABORTED`, and those of reading the weights.
 */
export async function loadRun(trainee: Trainee, folder: RunFolder | null, options: TrainerOptions): Promise<LoadedRun> {
  const { trainable, settings } = trainee;
  const newest = folder?.newest ?? null;
  const opened = openedDevice(deviceOptionsOf(options), 'trainer');
  try {
    const weights = await weightsOf(trainable, newest, settings.seed, options.signal);
    const loaded = await loadTrainer(trainee, opened.device, weights, newest, options);
    const at = newest === null ? { step: 0, seconds: 0 } : { step: newest.step, seconds: secondsOf(newest) };
    return { trainee, opened, folder, ...loaded, begun: at };
  } catch (error) {
    if (opened.isOwn) await opened.device.close();
    throw error;
  }
}
