// Embeddings of new tokens, as textual inversion learns them (Gal et al. 2022).
import { basename, extname } from 'node:path';

import { at, listNames } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import type { Checkpoint } from '../checkpoint.js';
import { pytorchCheckpoint, readPytorchFile, tensorsOf } from '../pytorch/index.js';
import { openTable } from '../table-rows.js';
import { isPytorchPath, openSingleFile } from '../weight-files.js';

/** Most vectors of a token: as many as CLIP reads at once. */
const MOST_VECTORS = 75;

/** A file of embeddings of one token, for one text encoder or several. */
export interface TokenFile {
  readonly path: string;
  /** Name of the token that the file says, or that of the file. */
  readonly token: string;
  /** Tables [vectors, width] by their names. */
  readonly tables: ReadonlyMap<string, EmbeddingTable>;
}

/** Vectors of a token for one text encoder. */
export interface EmbeddingTable {
  readonly vectors: number;
  readonly width: number;
  /** Reads them, [vectors, width]. */
  readonly read: () => Promise<Float32Array>;
}

/** Names of tables that say nothing of the token: those of webui's files, and of SDXL's two encoders. */
const namesOfTables = ['emb_params', 'clip_l', 'clip_g'];

function tableOf(checkpoint: Checkpoint, name: string): EmbeddingTable {
  const { files, tensors } = checkpoint;
  const entry = tensors.get(name);
  const shape = entry?.shape ?? [];
  const [vectors = 0, width = 0] = shape.length === 1 ? [1, ...shape] : shape;
  if (entry === undefined || shape.length < 1 || shape.length > 2 || width < 1) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${at(files, 0)}: '${name}' [${shape.join(', ')}] is no list of vectors`,
    );
  }
  if (vectors < 1 || vectors > MOST_VECTORS) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${at(files, 0)}: '${name}' has ${vectors} vectors, 1 to ${MOST_VECTORS} are read`,
    );
  }
  const table = openTable({ files, tensors: new Map([[name, { ...entry, shape: [vectors, width] }]]) }, name);
  return {
    vectors,
    width,
    read: async () => {
      const values = await table.rows(Int32Array.from({ length: vectors }, (_, row) => row));
      const wrong = values.findIndex((value) => !Number.isFinite(value));
      if (wrong < 0) return values;
      throw new DpmError(
        'ERR_DPM_NOT_FINITE',
        `${at(files, 0)}: '${name}' is ${at(values, wrong)} at element ${wrong}`,
      );
    },
  };
}

/** Opens the tables of a file, and the name that it says. */
async function openTables(path: string): Promise<{ checkpoint: Checkpoint; name: string | null }> {
  if (!isPytorchPath(path)) return { checkpoint: await openSingleFile(path), name: null };
  const file = await readPytorchFile(path);
  const root = file.root instanceof Map ? file.root : new Map();
  // The form of webui: its table has the name `*`.
  const isNested = root.get('string_to_param') instanceof Map;
  const { tensors } = tensorsOf(file, isNested ? ['string_to_param'] : []);
  const name: unknown = root.get('name');
  return { checkpoint: pytorchCheckpoint(file, tensors), name: typeof name === 'string' && isNested ? name : null };
}

/**
 * Reads a file of textual inversion: `{ TOKEN: table }` as diffusers saves it, webui's (`emb_params`, `string_to_param`), or the
 * tables `clip_l` and `clip_g` of SDXL's encoders; safetensors, or a pickle of PyTorch.
 *
 * @throws {@link DpmError} naming the file and the table: `ERR_DPM_FILE`, `ERR_DPM_TENSOR_UNUSED` for one of several tokens or
 * none, `ERR_DPM_TENSOR_SHAPE` for a table that is no list of 1 to 75 vectors.
 */
export async function readTokenFile(path: string): Promise<TokenFile> {
  const { checkpoint, name } = await openTables(path);
  const names = [...checkpoint.tensors.keys()];
  const own = names.filter((each) => !namesOfTables.includes(each) && each !== '*');
  if (names.length === 0 || own.length > 1) {
    throw new DpmError(
      'ERR_DPM_TENSOR_UNUSED',
      `${path} has to hold the embeddings of one token, it has: ${listNames(names)}`,
    );
  }
  const tables = new Map(names.map((each) => [each, tableOf(checkpoint, each)]));
  return { path, token: name ?? own[0] ?? basename(path, extname(path)), tables };
}

/**
 * Finds the table for each of the text encoders, by their widths.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if one has none, or if the tables have other numbers of vectors.
 */
export function tablesOfEncoders({ path, tables }: TokenFile, widths: readonly number[]): EmbeddingTable[] {
  const found = widths.map((width) => {
    const table = [...tables.values()].find((each) => each.width === width);
    if (table !== undefined) return table;
    const shown = [...tables].map(([name, each]) => `'${name}' [${each.vectors}, ${each.width}]`).join(', ');
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${path} has ${shown}, and no vectors of ${width}, the text encoder's width`,
    );
  });
  if (found.every(({ vectors }) => vectors === found[0]?.vectors)) return found;
  throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${path} has tables of different numbers of vectors for one token`);
}
