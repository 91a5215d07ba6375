import type { NativeGraph } from '../engine/native-graph.js';
import type { UNetDescription } from '../network/description.js';
import type { Graph } from '../network/graph.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { GammaTable } from '../variance/gamma.js';
import { nativeGraph, type Checkpoint } from './checkpoint.js';
import type { FolderLayout, LabelForNone } from './family.js';
import type { HeadName } from './heads.js';
import { requireMatchingWeights, type WeightReport } from './weight-report.js';

/** A network with one of its heads or none, its canonical weights and how they fit. */
export interface SelectedNetwork {
  unet: UNetDescription;
  graph: Graph;
  checkpoint: Checkpoint;
  report: WeightReport;
}

/** A model, read but not loaded onto a device. */
export interface ModelFolder {
  path: string;
  /** The family of the checkpoint, and how it was recognised. */
  family: string;
  evidence: string;
  config: Record<string, unknown>;
  schedule: NoiseSchedule;
  /** Label that stands for no class in guidance. */
  labelForNone: LabelForNone;
  /** Layout of the converted model. */
  layout: FolderLayout;
  heads: readonly HeadName[];
  gamma: GammaTable | null;
  /** Weights by the family's own names, without those that are not needed. */
  weights: Checkpoint;
  /** Files beside the network that belong to the model: their paths in a model folder, and where they lie. */
  companions: ReadonlyMap<string, string>;
  select(head: HeadName | null): Promise<SelectedNetwork>;
}

/**
 * Makes the graph of a network with its weights, compared name by name and shape by shape, for the engine.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING`, `ERR_DPM_TENSOR_SHAPE`, `ERR_DPM_TENSOR_UNUSED`, `ERR_DPM_TENSOR_DTYPE`.
 */
export async function loadableNetwork(
  folder: ModelFolder,
  head: HeadName | null,
): Promise<{ unet: UNetDescription; graph: NativeGraph }> {
  const { unet, graph, checkpoint, report } = await folder.select(head);
  requireMatchingWeights(report, checkpoint);
  return { unet, graph: nativeGraph(graph, checkpoint) };
}
