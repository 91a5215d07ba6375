import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { FolderLayout } from '../../checkpoint/family.js';
import { headPrefix } from '../../checkpoint/heads.js';
import { isOfHead, type TrainableHead } from '../../checkpoint/trainable-head.js';
import type { TensorSources } from '../../engine/checkpoint-tensors.js';
import { fileError } from '../../files/files.js';
import type { Disk } from './disk.js';

type Fields = Readonly<Record<string, unknown>>;

/** Contents of a file that the beginning of a run writes: JSON, a text, or those of another file. */
export type BeginningFile = { readonly json: Fields } | { readonly text: string } | { readonly from: string };

/** A file of weights of the model that a run trains. */
export interface WeightFile {
  /** Its path in the folder of the run. */
  readonly path: string;
  /** Gives the name in this file of a tensor of the run; null: it lies in another file. */
  readonly nameOf: (tensor: string) => string | null;
  /** True if its weights learn; those of others are there from the first checkpoint on. */
  readonly learns: boolean;
}

/** The model that a run trains, as the files of its folder say it. */
export interface ModelFiles {
  /** What it is, which must not change while the run lasts. */
  readonly config: Fields;
  /** Files that are there from the beginning on, by their paths in the folder, in the order in which they are written. */
  readonly beginning: ReadonlyMap<string, BeginningFile>;
  readonly weights: readonly WeightFile[];
}

/** A network with what its model's folder has beside it. */
export interface NetworkOfRun {
  /** Its configuration; of another family than diffusers with the field `family`. */
  readonly config: Fields;
  /** Configuration of the scheduler; null if the network's own says all. */
  readonly scheduler: Fields | null;
  /** Where the parts of such a model lie. */
  readonly layout: FolderLayout;
  /** Head that learns; null: the network does. */
  readonly head: TrainableHead | null;
}

/** Lists the files of a network's model. */
export function filesOfNetwork({ config, scheduler, layout, head }: NetworkOfRun): ModelFiles {
  const beginning = new Map<string, BeginningFile>([[join(layout.network, 'config.json'), { json: config }]]);
  if (scheduler !== null) {
    beginning.set(join('scheduler', 'scheduler_config.json'), { json: scheduler });
    const ofScheduler = ['diffusers', scheduler._class_name ?? 'DDPMScheduler'];
    const unet = ['diffusers', config._class_name ?? 'UNet2DModel'];
    const json = { _class_name: 'DDPMPipeline', scheduler: ofScheduler, unet };
    beginning.set('model_index.json', { json });
  }
  const { apart = null, companions = new Map<string, string>() } = head ?? {};
  if (apart !== null) beginning.set(join('heads', 'config.json'), { json: apart.config });
  for (const [path, from] of companions) beginning.set(path, { from });
  const path = join(layout.network, `${layout.weights}.safetensors`);
  if (apart === null) return { config, beginning, weights: [{ path, nameOf: (tensor) => tensor, learns: true }] };
  return {
    config,
    beginning,
    weights: [
      { path, nameOf: (tensor) => (isOfHead(tensor) ? null : tensor), learns: false },
      {
        path: join('heads', apart.file),
        nameOf: (tensor) => (isOfHead(tensor) ? tensor.slice(headPrefix.length + 1) : null),
        learns: true,
      },
    ],
  };
}

/** The tensors of a run that a file of weights holds, by their names there. */
export function tensorsOfFile({ nameOf }: WeightFile, tensors: TensorSources): TensorSources {
  return new Map(
    [...tensors].flatMap(([tensor, source]) => {
      const name = nameOf(tensor);
      return name === null ? [] : [[name, source] as const];
    }),
  );
}

/** Lists the folders of a model's files, in its own; the empty one is that itself. */
export function foldersOf({ beginning, weights }: ModelFiles): string[] {
  const paths = [...beginning.keys(), ...weights.map(({ path }) => path)];
  return [...new Set(['.', ...paths.map((path) => dirname(path))])];
}

async function contentsOf(file: BeginningFile): Promise<string | Uint8Array> {
  if ('json' in file) return `${JSON.stringify(file.json, null, 2)}\n`;
  if ('text' in file) return file.text;
  return readFile(file.from).catch((cause: unknown) => {
    throw fileError('read', file.from, cause);
  });
}

/** Writes what a model has beside its weights into a folder. */
export async function writeBeginning(folder: string, { beginning }: ModelFiles, disk: Disk): Promise<void> {
  for (const [name, file] of beginning) {
    const path = join(folder, name);
    await disk.makeFolder(dirname(path));
    await disk.write(path, [await contentsOf(file)]);
  }
}
