import { resolve } from 'node:path';

import { at, elementCount } from '../../../base/arrays.js';
import { DpmError } from '../../../base/errors.js';
import { readExactly, withFile } from '../../../files/files.js';
import { floatsOf } from '../../../files/floats.js';
import { readSafetensorsHeader, type SafetensorsHeader, type TensorEntry } from '../../../files/safetensors.js';
import type { Factor } from '../../checkpoint.js';
import { AdapterMetadata } from './adapter-metadata.js';
import { additionPart, type AdditionPart } from './tensor-names.js';

/** Addition of low rank to the weight of one layer: `factor` times the product of up, mid, if there is one, and down. */
export interface LayerAddition {
  /** Name of the layer in the file. */
  readonly layer: string;
  /** [outputs, rank], or that of a convolution of 1x1. */
  readonly up: Factor;
  /** [rank, inner rank, height, width], the kernel of a convolution between both others. */
  readonly mid: Factor | null;
  /** [inner rank, inputs], or that of a convolution. */
  readonly down: Factor;
  /** alpha / rank. */
  readonly factor: number;
}

/** A file of low-rank additions (LoRA). */
export interface LoraFile {
  readonly path: string;
  readonly layers: readonly LayerAddition[];
  /** Names of tensors that are of no addition. */
  readonly others: readonly string[];
}

/** Largest rank. Those of public files are at most some hundreds. */
const MOST_RANK = 8192;

type Parts = Partial<Record<AdditionPart, { readonly name: string; readonly entry: TensorEntry }>>;

/** Puts the tensors of each layer together. */
function partsOfLayers({ path, tensors }: SafetensorsHeader): { layers: Map<string, Parts>; others: string[] } {
  const layers = new Map<string, Parts>();
  const others: string[] = [];
  for (const [name, entry] of tensors) {
    const found = additionPart(path, name);
    if (found === null) {
      others.push(name);
      continue;
    }
    const { layer, part } = found;
    const parts = layers.get(layer) ?? {};
    const other = parts[part];
    if (other !== undefined) {
      throw new DpmError(
        'ERR_DPM_TENSOR_UNUSED',
        `${path}: '${name}' and '${other.name}' are both the same of a layer`,
      );
    }
    parts[part] = { name, entry };
    layers.set(layer, parts);
  }
  return { layers, others };
}

/** Requires a factor of an addition, a matrix or the kernel of a convolution. */
function requireFactor(path: string, layer: string, parts: Parts, part: 'down' | 'up' | 'mid'): Factor {
  const found = parts[part];
  if (found === undefined) {
    const known = Object.values(parts).map(({ name }) => `'${name}'`);
    throw new DpmError('ERR_DPM_TENSOR_MISSING', `${path}: layer '${layer}' lacks ${part}, it has ${known.join(', ')}`);
  }
  const { name, entry } = found;
  const { dtype, shape } = entry;
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new DpmError(
      'ERR_DPM_TENSOR_DTYPE',
      `${path}: tensor '${name}' is ${dtype}, factors have to be F32, F16 or BF16`,
    );
  }
  const isFactor = (shape.length === 2 || shape.length === 4) && elementCount(shape) > 0;
  if (isFactor && (part !== 'mid' || shape.length === 4)) return { ...entry, dtype, name };
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${path}: tensor '${name}' is [${shape.join(', ')}], it has to be ${part === 'mid' ? '' : 'a matrix or '}the kernel of a convolution`,
  );
}

/** Names and shapes of the factors of an addition, for messages. */
export function shownFactors({ up, mid, down }: Pick<LayerAddition, 'up' | 'mid' | 'down'>): string {
  const factors = mid === null ? [up, down] : [up, mid, down];
  return factors.map(({ name, shape }) => `'${name}' [${shape.join(', ')}]`).join(' and ');
}

/** Requires that the factors multiply. */
function requireProduct(path: string, { up, mid, down }: Pick<LayerAddition, 'up' | 'mid' | 'down'>): void {
  const [rank, inner] = [at(up.shape, 1), at(down.shape, 0)];
  const fits = mid === null ? rank === inner : mid.shape[0] === rank && mid.shape[1] === inner;
  const isPoint = ({ shape }: Factor): boolean => shape.slice(2).every((side) => side === 1);
  if (fits && isPoint(up) && (mid === null || isPoint(down)) && rank <= MOST_RANK && inner <= MOST_RANK) return;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${path}: tensors ${shownFactors({ up, mid, down })} have no product of a rank up to ${MOST_RANK}`,
  );
}

/** Reads the scalars alpha of layers. */
async function readAlphas(path: string, layers: ReadonlyMap<string, Parts>): Promise<Map<string, number>> {
  const alphas = new Map<string, number>();
  await withFile(path, async (file) => {
    for (const [layer, { alpha }] of layers) {
      if (alpha === undefined) continue;
      const { name, entry } = alpha;
      if (elementCount(entry.shape) !== 1) {
        throw new DpmError(
          'ERR_DPM_TENSOR_SHAPE',
          `${path}: tensor '${name}' is [${entry.shape.join(', ')}], it has to be a number`,
        );
      }
      const bytes = await readExactly(file, path, entry.offset, entry.bytes);
      const value = at(floatsOf(entry.dtype, bytes, 1), 0);
      if (!Number.isFinite(value)) {
        throw new DpmError('ERR_DPM_NOT_FINITE', `${path}: tensor '${name}' is ${value}, it has to be a finite number`);
      }
      alphas.set(layer, value);
    }
  });
  return alphas;
}

/**
 * Reads which layers a file adds to, of any of the namings of kohya's scripts, PEFT and diffusers. Of its tensors only the
 * numbers alpha are read.
 *
 * @throws {@link DpmError} naming the file and the wrong tensor or field of its header; `ERR_DPM_UNSUPPORTED` naming a tensor
 * of another method.
 */
export async function readLoraFile(given: string): Promise<LoraFile> {
  // Weights are read later, perhaps after a change of the working directory.
  const path = resolve(given);
  const header = await readSafetensorsHeader(path);
  const { layers, others } = partsOfLayers(header);
  const metadata = new AdapterMetadata(path, header.metadata);
  const alphas = await readAlphas(path, layers);
  const read = [...layers].map(([layer, parts]): LayerAddition => {
    const up = requireFactor(path, layer, parts, 'up');
    const down = requireFactor(path, layer, parts, 'down');
    const mid = parts.mid === undefined ? null : requireFactor(path, layer, parts, 'mid');
    requireProduct(path, { up, mid, down });
    const [alpha, rank] = [alphas.get(layer), at(down.shape, 0)];
    return { layer, up, mid, down, factor: alpha === undefined ? metadata.factor(layer, rank) : alpha / rank };
  });
  return { path, layers: read, others };
}
