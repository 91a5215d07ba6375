import { DpmError } from '../base/errors.js';
import type { Block, Resampling } from './description.js';

/** Properties that all blocks of one network share. */
export interface BlockStyle {
  /** Name of the source in errors, e.g. the configuration's path. */
  source: string;
  /** Number of groups of a map's norms. */
  groups: (channels: number) => number;
  epsilon: number;
  timeMode: 'add' | 'scale-shift';
  /** Factor of the sums of residual blocks and attentions. */
  scale: number;
}

/** Blocks of a network in the order they run, and the widths of the maps between them. */
export class BlockList {
  readonly blocks: Block[] = [];
  readonly #skips: number[] = [];
  #channels: number;

  constructor(
    private readonly style: BlockStyle,
    base: number,
  ) {
    this.#channels = base;
    this.push();
  }

  /** Number of channels of the current map. */
  get channels(): number {
    return this.#channels;
  }

  push(): void {
    this.blocks.push({ kind: 'push' });
    this.#skips.push(this.#channels);
  }

  pop(): void {
    const skip = this.#skips.pop();
    if (skip === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a skip is popped that was never pushed');
    this.blocks.push({ kind: 'pop' });
    this.#channels += skip;
  }

  /** Adds a residual block. `shortcut`: a convolution on it even if the widths are equal. */
  residual(name: string, to: number, resample: 'none' | Resampling = 'none', shortcut = false): void {
    const { epsilon, timeMode, scale } = this.style;
    const from = this.#channels;
    this.blocks.push({
      kind: 'residual',
      name,
      inChannels: from,
      outChannels: to,
      groups1: this.#groups(name, from),
      groups2: this.#groups(name, to),
      epsilon,
      timeMode,
      resample,
      shortcut: shortcut || from !== to ? 'convolution' : 'identity',
      scale,
    });
    this.#channels = to;
  }

  attention(name: string, heads: number): void {
    const { epsilon, scale, source } = this.style;
    const channels = this.#channels;
    if (!Number.isInteger(heads) || heads < 1 || channels % heads !== 0) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `${source}: ${name} has ${channels} channels, not divisible into ${heads} heads`,
      );
    }
    this.blocks.push({
      kind: 'attention',
      name,
      channels,
      heads,
      groups: this.#groups(name, channels),
      epsilon,
      scale,
    });
  }

  downsample(name: string, padding: 'symmetric' | 'asymmetric'): void {
    this.blocks.push({ kind: 'downsample', name, channels: this.#channels, padding });
  }

  upsample(name: string): void {
    this.blocks.push({ kind: 'upsample', name, channels: this.#channels });
  }

  resample(method: Resampling): void {
    this.blocks.push({ kind: 'resample', method });
  }

  imageResample(method: Resampling): void {
    this.blocks.push({ kind: 'image-resample', method });
  }

  /** Adds the image to the map. `from`: channels of the image. */
  imageCombine(name: string, from: number, method: 'sum' | 'concat'): void {
    this.blocks.push({ kind: 'image-combine', name, from, channels: this.#channels, method });
    if (method === 'concat') this.#channels *= 2;
  }

  imageResidual(name: string, from: number, fir: boolean, scale: number): void {
    this.blocks.push({ kind: 'image-residual', name, from, channels: this.#channels, fir, scale });
  }

  /** Adds the map to the result. `to`: channels of the result. */
  resultAdd(norm: string, name: string, to: number): void {
    const channels = this.#channels;
    const { epsilon } = this.style;
    this.blocks.push({ kind: 'result-add', norm, name, channels, to, groups: this.#groups(norm, channels), epsilon });
  }

  resultResample(method: Resampling): void {
    this.blocks.push({ kind: 'result-resample', method });
  }

  #groups(name: string, channels: number): number {
    const groups = this.style.groups(channels);
    if (groups < 1 || channels % groups !== 0) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `${this.style.source}: ${name} has ${channels} channels, not divisible into ${groups} groups`,
      );
    }
    return groups;
  }
}

/** Number of groups min(C / 4, 32), as NCSN++ and EDM have. */
export const quarterGroups = (channels: number): number => Math.min(Math.floor(channels / 4), 32);
