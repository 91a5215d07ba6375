// The addon as tests call it that go round its TypeScript.
import { loadableNetwork } from '../../lib/checkpoint/model-folder.js';
import { readModelFolder } from '../../lib/checkpoint/read-model.js';
import type { NativeRunRequest } from '../../lib/engine/binding.js';
import type { NativeGraph } from '../../lib/engine/native-graph.js';
import { linear, stepRecord } from '../../lib/program/builder.js';
import { packRecord } from '../../lib/program/pack.js';
import { packagePath } from './temporary.js';

export const engineOptions = {
  device: 'cpu',
  dtype: 'f32',
  threads: 1,
  exact: false,
  tf32: false,
  autotune: false,
} as const;

/** The bundled network, with its weights. */
export async function digitsGraph(): Promise<NativeGraph> {
  return (await loadableNetwork(await readModelFolder(packagePath('models/mnist')), null)).graph;
}

/** One sample of a program of so many records, all alike. */
export function runRequest(records: number): NativeRunRequest {
  const record = packRecord(stepRecord({ time: 10, x: linear({ x: 0.5, out: 0.1 }) }), false);
  return {
    records: Uint8Array.from({ length: records * record.length }, (_, i) => record[i % record.length]!),
    programs: Uint32Array.of(0, records, 0),
    initialScale: Float32Array.of(1),
    sampleProgram: Uint32Array.of(0),
    sampleStream: Uint32Array.of(1, 0, 0),
    labels: null,
    guidance: null,
    unconditionalLabel: -1,
    init: null,
    noise: null,
    batch: 1,
    snapshotEvery: 0,
    levels: false,
    cancel: null,
    onProgress: null,
    previewEvery: 0,
    onPreview: null,
  };
}
