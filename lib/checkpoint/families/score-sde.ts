import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { BlockList, quarterGroups } from '../../network/block-list.js';
import type { Resampling, UNetDescription } from '../../network/description.js';
import { familyHead } from '../family-config.js';
import { renamed, type Renames } from '../family-tensors.js';
import { flatLayout, type Family, type FamilyNetwork } from '../family.js';
import { isLastLayer, layerOf, resultLayers, type InitialRule } from '../initial-rule.js';
import type { TensorSource } from '../tensor-source.js';
import { parseScoreSdeConfig, type ScoreSdeConfig } from './score-sde-config.js';
import { scoreSdeSchedule } from './score-sde-schedule.js';

/** Patterns from canonical names inside a block to those of score_sde_pytorch. */
const renames: Renames = [
  [/\.norm1\./, '.GroupNorm_0.'],
  [/\.conv1\./, '.Conv_0.'],
  [/\.time_emb_proj\./, '.Dense_0.'],
  [/\.norm2\./, '.GroupNorm_1.'],
  [/\.conv2\./, '.Conv_1.'],
  [/\.group_norm\./, '.GroupNorm_0.'],
  [/^head\.norm_out\./, 'gn_out2.'],
  [/^head\.conv_out\./, 'conv_out2.'],
];

/** The modules of the network in the order of its list, which is that of the names. */
class Modules {
  readonly list: BlockList;
  /** Names of modules that are no blocks, by their canonical names. */
  readonly named = new Map<string, string>();
  readonly #config: ScoreSdeConfig;
  #next = 0;

  constructor(config: ScoreSdeConfig, source: string) {
    this.#config = config;
    const groups = config.isNcsnpp ? quarterGroups : () => 32;
    if (config.fourier) this.#name('time_proj');
    this.#name('time_embedding.linear_1');
    this.#name('time_embedding.linear_2');
    this.#name('conv_in');
    this.list = new BlockList({ source, groups, epsilon: 1e-6, timeMode: 'add', scale: config.scale }, config.width);
    this.#encode();
    this.#residual(this.list.channels);
    this.list.attention(this.#module(), 1);
    this.#residual(this.list.channels);
    this.#decode();
    if (config.output === 'output_skip') return;
    this.#name('conv_norm_out');
    this.#name('conv_out');
  }

  #module(): string {
    return `all_modules.${this.#next++}`;
  }

  #name(canonical: string): void {
    this.named.set(canonical, this.#module());
  }

  #residual(to: number, resample: 'none' | Resampling = 'none'): void {
    this.list.residual(this.#module(), to, resample, resample !== 'none');
  }

  #attend(size: number): void {
    if (this.#config.attention.includes(size)) this.list.attention(this.#module(), 1);
  }

  #encode(): void {
    const { multipliers, blocks, width, size, bigGan, fir } = this.#config;
    let pyramid = this.#config.channels;
    for (let level = 0; level < multipliers.length; ++level) {
      for (let block = 0; block < blocks; ++block) {
        this.#residual(width * at(multipliers, level));
        this.#attend(size / 2 ** level);
        this.list.push();
      }
      if (level === multipliers.length - 1) return;
      if (bigGan) this.#residual(this.list.channels, fir ? 'fir-down' : 'mean');
      else this.list.downsample(`${this.#module()}.Conv_0`, 'asymmetric');
      pyramid = this.#pyramid(pyramid);
      this.list.push();
    }
  }

  /** The image beside the maps; returns its channels. */
  #pyramid(channels: number): number {
    const { input, combine, fir, scale } = this.#config;
    if (input === 'input_skip') {
      this.list.imageResample(fir ? 'fir-down' : 'mean');
      this.list.imageCombine(`${this.#module()}.Conv_0`, channels, combine === 'sum' ? 'sum' : 'concat');
      return channels;
    }
    if (input === 'none') return channels;
    this.list.imageResidual(`${this.#module()}.${fir ? 'Conv2d_0' : 'Conv_0'}`, channels, fir, scale);
    return this.list.channels;
  }

  #decode(): void {
    const { multipliers, blocks, width, size, bigGan, fir, output, channels } = this.#config;
    for (let level = multipliers.length - 1; level >= 0; --level) {
      for (let block = 0; block <= blocks; ++block) {
        this.list.pop();
        this.#residual(width * at(multipliers, level));
      }
      this.#attend(size / 2 ** level);
      if (output === 'output_skip') {
        if (level < multipliers.length - 1) this.list.resultResample(fir ? 'fir-up' : 'nearest');
        const norm = this.#module();
        this.list.resultAdd(norm, this.#module(), channels);
      }
      if (level === 0) continue;
      if (bigGan) this.#residual(this.list.channels, fir ? 'fir-up' : 'nearest');
      else this.list.upsample(`${this.#module()}.Conv_0`);
    }
  }
}

const projection = /^(.+)\.to_(q|k|v|out\.0)\.(weight|bias)$/;
const projectionIndex: Readonly<Record<string, number>> = { q: 0, k: 1, v: 2, 'out.0': 3 };

/** A matrix that is stored as [in, out]. */
function transposed(key: string, [rows = 0, columns = 0]: readonly number[]): TensorSource {
  return { key, shape: [columns, rows], view: { offset: 0, dims: [rows, columns], strides: [1, rows] } };
}

function sourceOf(config: ScoreSdeConfig, named: ReadonlyMap<string, string>): FamilyNetwork['source'] {
  return (name, shape) => {
    const [, block, part, kind] = projection.exec(name) ?? [];
    if (block !== undefined && part !== undefined) {
      const key = `${block}.NIN_${projectionIndex[part] ?? 0}.${kind === 'weight' ? 'W' : 'b'}`;
      return kind === 'weight' ? transposed(key, shape) : { key };
    }
    const [, holder, shortcut] = /^(.+)\.conv_shortcut\.(weight|bias)$/.exec(name) ?? [];
    if (holder !== undefined) {
      if (config.bigGan) return { key: `${holder}.Conv_2.${shortcut ?? ''}` };
      return shortcut === 'weight' ? transposed(`${holder}.NIN_0.W`, shape) : { key: `${holder}.NIN_0.b` };
    }
    if (name === 'time_proj.weight') return { key: `${named.get('time_proj') ?? ''}.W` };
    const [, prefix = '', suffix = ''] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
    const own = named.get(prefix);
    return { key: own === undefined ? renamed(renames, name) : `${own}.${suffix}` };
  };
}

/** Lists the sigmas of discrete VE networks: evenly in the logarithm, the largest first. */
function sigmaTable({ sigmas: { least, most, count } }: ScoreSdeConfig): Float32Array {
  const [first, last] = [Math.log(most), Math.log(least)];
  return Float32Array.from({ length: count }, (_, i) =>
    Math.exp(count === 1 ? first : first + (i / (count - 1)) * (last - first)),
  );
}

/** Glorot's bounds; the authors' scales, 1e-10 for 0 and 0.1 of their own 1x1 layers (`NIN`), are those of the variance. */
function initialRule({ bigGan }: ScoreSdeConfig, blocks: UNetDescription['blocks']): InitialRule {
  const results = resultLayers(blocks);
  const isOwn = bigGan ? /\.to_[qkv]\./ : /\.to_[qkv]\.|\.conv_shortcut\./;
  return {
    bound: 'glorot',
    scale(name) {
      if (isLastLayer(name) || results.has(layerOf(name))) return 1e-5;
      return isOwn.test(name) ? Math.sqrt(0.1) : 1;
    },
  };
}

function scoreSdeNetwork(raw: Readonly<Record<string, unknown>>, source: string): FamilyNetwork {
  const config = parseScoreSdeConfig(raw, source);
  const { list, named } = new Modules(config, source);
  const { width, channels, size, head } = config;
  if (head?.complex === true)
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${source}: head: score_sde has simple heads only`);
  const groups = config.isNcsnpp ? quarterGroups(list.channels) : 32;
  const unet: UNetDescription = {
    inChannels: channels,
    outChannels: channels,
    height: size,
    width: size,
    baseChannels: width,
    centerInput: !config.centered,
    time: {
      channels: config.fourier ? 2 * width : width,
      embedding: 4 * width,
      shift: 1,
      order: 'sin-cos',
      fourier: config.fourier ? 'logarithmic' : null,
    },
    classes: 0,
    blocks: list.blocks,
    output: config.output === 'output_skip' ? null : { groups, epsilon: 1e-6 },
    divisor: config.scaleBySigma ? (config.fourier ? 'time' : sigmaTable(config)) : null,
    head: null,
  };
  return {
    unet,
    ...familyHead(head, groups, 1e-6),
    source: sourceOf(config, named),
    ignores: (key) => key === 'sigmas',
    initial: initialRule(config, list.blocks),
  };
}

/** Family of score_sde_pytorch (Song et al. 2021): DDPM, DDPM++ and NCSN++. */
export const scoreSde: Family = {
  name: 'score_sde',
  recognise: (names) => [...names].find((name) => name.startsWith('all_modules.0.')) ?? null,
  network: scoreSdeNetwork,
  schedule: scoreSdeSchedule,
  labelForNone: 'last class',
  layout: flatLayout,
};
