import { DpmError } from '../base/errors.js';
import type { Activation, Block, Resampling, UNetDescription } from './description.js';
import { GraphBuilder, type Graph } from './graph.js';
import { biased, convolution, copied, embeddingMlp, groupNorm, linear, selfAttention, silu, sum } from './layers.js';
import type { Operation } from './operation.js';
import { pooled } from './pool.js';
import { DROPOUT_BYTES } from './shapes.js';

type ResidualBlock = Omit<Extract<Block, { kind: 'residual' }>, 'kind' | 'inChannels'>;

const resamplingOf: Readonly<Record<Resampling, Operation>> = {
  mean: { op: 'average_pool' },
  nearest: { op: 'upsample' },
  'fir-down': { op: 'fir_downsample', padding: 1 },
  'fir-up': { op: 'fir_upsample' },
};

/** Compiles a description block by block. */
class UNetCompiler {
  readonly #description: UNetDescription;
  readonly #graph = new GraphBuilder();
  readonly #skips: number[] = [];
  /** Embedding for each activation, as the residual blocks project it. */
  readonly #embeddings = new Map<Activation, number>();
  /** Image before any change: its readers convert the layout of the network's own input themselves. */
  readonly #plainImage: number | null;
  readonly #dropout: number;
  /** What dropouts take beside their maps; null: nothing drops out. */
  readonly #draws: number | null;
  #image: number;
  #current: number;
  #result: number | null = null;

  constructor(description: UNetDescription, dropout: number) {
    this.#description = description;
    this.#dropout = dropout;
    const { inChannels, height, width, centerInput, baseChannels } = description;
    const image = this.#graph.input('image', { channels: inChannels, height, width });
    const bytes = { channels: DROPOUT_BYTES, height: 1, width: 1 };
    this.#draws = dropout > 0 ? this.#graph.input('draws', bytes) : null;
    this.#activateEmbedding(this.#embedTime());
    const input = centerInput ? this.#graph.add({ op: 'affine', scale: 2, shift: -1 }, 'center_input', [image]) : image;
    this.#image = input;
    this.#plainImage = centerInput ? null : image;
    this.#current = this.#convolution('conv_in', input, baseChannels);
  }

  compile(): Graph {
    for (const block of this.#description.blocks) this.#add(block);
    if (this.#skips.length > 0) throw new DpmError('ERR_DPM_INTERNAL', 'a skip is pushed and never popped');
    this.#graph.output('output', this.#output());
    this.#addHead();
    return this.#graph.build();
  }

  #channels(value: number): number {
    return this.#graph.value(value).channels;
  }

  #convolution(name: string, input: number, to: number): number {
    return convolution(this.#graph, name, input, to);
  }

  #linear(name: string, input: number, to: number): number {
    return linear(this.#graph, name, input, to);
  }

  #activation(name: string, input: number, kind: Activation): number {
    return kind === 'silu'
      ? silu(this.#graph, name, input)
      : this.#graph.add({ op: 'activation', kind }, name, [input]);
  }

  #groupNorm(name: string, input: number, groups: number, epsilon: number): number {
    return groupNorm(this.#graph, name, input, groups, epsilon);
  }

  #sum(name: string, left: number, right: number): number {
    return sum(this.#graph, name, left, right);
  }

  #scaled(name: string, input: number, scale: number): number {
    return scale === 1 ? input : this.#graph.add({ op: 'affine', scale, shift: 0 }, name, [input]);
  }

  #copy(name: string, input: number): number {
    return copied(this.#graph, name, input);
  }

  #embedTime(): number {
    const { classes, classEmbedding = 'row' } = this.#description;
    let embedding = this.#features('time_proj', this.#scalar('time'));
    const isFirst = classEmbedding === 'scaled-row';
    if (classes > 0 && isFirst) embedding = this.#sum('class_embedding.add', embedding, this.#scaledClassRow());
    embedding = this.#embeddingMlp('time_embedding', embedding);
    if (classes > 0 && !isFirst) embedding = this.#sum('class_embedding.add', embedding, this.#embeddedClass());
    return embedding;
  }

  #activateEmbedding(embedding: number): void {
    for (const block of this.#description.blocks) {
      if (block.kind !== 'residual') continue;
      const { activation = 'silu' } = block;
      if (this.#embeddings.has(activation)) continue;
      this.#embeddings.set(activation, this.#activation(`time_embedding.${activation}`, embedding, activation));
    }
  }

  #embeddingFor(activation: Activation): number {
    const embedding = this.#embeddings.get(activation);
    if (embedding === undefined) throw new DpmError('ERR_DPM_INTERNAL', `no block has the activation ${activation}`);
    return embedding;
  }

  #scalar(binding: string): number {
    return this.#graph.input(binding, { channels: 1, height: 1, width: 1 });
  }

  #embeddingMlp(name: string, input: number): number {
    return embeddingMlp(this.#graph, name, input, this.#description.time.embedding);
  }

  /** Adds features of the time, or of a label that is embedded like one. */
  #features(name: string, input: number): number {
    const { channels, shift, order, fourier = null, rows = null } = this.#description.time;
    if (rows !== null) return this.#row(name, input, 'time_proj.weight', [rows, channels]);
    const weights = fourier === null ? [] : [this.#graph.constant('time_proj.weight', [Math.floor(channels / 2)])];
    const logarithmic = fourier === 'logarithmic';
    const operation = { op: 'time_embedding', length: channels, frequencyShift: shift, order, logarithmic } as const;
    return this.#graph.add(operation, name, [input], { weights });
  }

  #row(name: string, input: number, table: string, shape: readonly number[]): number {
    return this.#graph.add({ op: 'embedding' }, name, [input], { weights: [this.#graph.constant(table, shape)] });
  }

  #classRow(label: number, channels: number): number {
    return this.#row('class_embedding', label, 'class_embedding.weight', [this.#description.classes, channels]);
  }

  #embeddedClass(): number {
    const label = this.#scalar('label');
    const { classEmbedding = 'row', time } = this.#description;
    if (classEmbedding === 'row') return this.#classRow(label, time.embedding);
    return this.#embeddingMlp('class_embedding', this.#features('class_embedding.features', label));
  }

  /**
   * Adds the row of a class; EDM scales its one-hot labels to a variance that is the same for any number of classes.
   */
  #scaledClassRow(): number {
    const { classes, time } = this.#description;
    const row = this.#classRow(this.#scalar('label'), time.channels);
    const scale = Math.fround(Math.sqrt(Math.fround(classes)));
    return biased(
      this.#graph,
      'class_embedding',
      this.#graph.add({ op: 'affine', scale, shift: 0 }, 'class_embedding.scale', [row]),
    );
  }

  #add(block: Block): void {
    switch (block.kind) {
      case 'push':
        this.#skips.push(this.#current);
        return;
      case 'pop':
        this.#pop();
        return;
      case 'residual':
        this.#current = this.#residual(block, this.#current);
        return;
      case 'attention':
        this.#current = this.#scaled(
          `${block.name}.scale`,
          selfAttention(this.#graph, block.name, this.#current, block),
          block.scale,
        );
        return;
      case 'downsample': {
        const before = block.padding === 'asymmetric' ? 0 : 1;
        this.#current = convolution(this.#graph, block.name, this.#current, block.channels, {
          stride: 2,
          padBefore: before,
        });
        return;
      }
      case 'upsample': {
        const large = this.#graph.add({ op: 'upsample' }, `${block.name}.nearest`, [this.#current]);
        this.#current = this.#convolution(block.name, large, block.channels);
        return;
      }
      case 'resample':
        this.#current = this.#graph.add(resamplingOf[block.method], 'resample', [this.#current]);
        return;
      default:
        this.#addBeside(block);
    }
  }

  /** Adds blocks of the image that goes down beside the map, and of the result that grows on the way up. */
  #addBeside(block: Extract<Block, { kind: `image-${string}` | `result-${string}` }>): void {
    switch (block.kind) {
      case 'image-resample':
        this.#image = this.#graph.add(resamplingOf[block.method], 'image.resample', [this.#imageMap()]);
        return;
      case 'image-combine':
        this.#combineImage(block);
        return;
      case 'image-residual': {
        const sum = this.#sum(`${block.name}.add`, this.#imageDown(block), this.#current);
        this.#image = this.#current = this.#scaled(`${block.name}.scale`, sum, block.scale);
        return;
      }
      case 'result-add': {
        const own = this.#outputOf(block.norm, block.name, this.#current, block.to, block);
        this.#result = this.#result === null ? own : this.#sum(`${block.name}.add`, own, this.#result);
        return;
      }
      case 'result-resample':
        if (this.#result === null) throw new DpmError('ERR_DPM_INTERNAL', 'there is no result to resample');
        this.#result = this.#graph.add(resamplingOf[block.method], 'result.resample', [this.#result]);
    }
  }

  #pop(): void {
    const skip = this.#skips.pop();
    if (skip === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a skip is popped that was never pushed');
    this.#current = this.#graph.add({ op: 'concat' }, 'concat', [this.#current, skip]);
  }

  /** Gives the image as a map, a copy; the layout of the network's input itself is converted by its reader. */
  #imageMap(): number {
    if (this.#image === this.#plainImage) this.#image = this.#copy('image', this.#image);
    return this.#image;
  }

  #combineImage({ name, channels, method }: Extract<Block, { kind: 'image-combine' }>): void {
    const projected = convolution(this.#graph, name, this.#imageMap(), channels, { kernel: 1 });
    this.#current =
      method === 'concat'
        ? this.#graph.add({ op: 'concat' }, `${name}.concat`, [projected, this.#current])
        : this.#sum(`${name}.add`, projected, this.#current);
  }

  /**
   * Adds the image at half the size, in h's channels. Filtering before a convolution of stride 2 is the same as
   * convolving at full size and filtering down: both are correlations, without zeros between them.
   */
  #imageDown({ name, channels, fir }: Extract<Block, { kind: 'image-residual' }>): number {
    const image = this.#imageMap();
    if (!fir) return convolution(this.#graph, name, image, channels, { stride: 2, padBefore: 0 });
    const whole = convolution(this.#graph, name, image, channels, { padBefore: 2, padAfter: 2 });
    return this.#graph.add({ op: 'fir_downsample', padding: 0 }, `${name}.fir`, [whole]);
  }

  #residual(block: ResidualBlock, x: number): number {
    const { name, outChannels, groups1, groups2, epsilon, resample, activation = 'silu' } = block;
    const resampled = (what: string, input: number): number =>
      resample === 'none' ? input : this.#graph.add(resamplingOf[resample], `${name}.${what}`, [input]);
    const isScaled = block.timeMode === 'scale-shift';
    let h = this.#activation(`${name}.act1`, this.#groupNorm(`${name}.norm1`, x, groups1, epsilon), activation);
    h = this.#convolution(`${name}.conv1`, resampled('resample', h), outChannels);
    const projected = (isScaled ? 2 : 1) * outChannels;
    const projection = this.#linear(`${name}.time_emb_proj`, this.#embeddingFor(activation), projected);
    if (!isScaled) h = this.#graph.add({ op: 'channel_add' }, `${name}.time_add`, [h, projection]);
    h = this.#groupNorm(`${name}.norm2`, h, groups2, epsilon);
    if (isScaled) h = this.#graph.add({ op: 'scale_shift' }, `${name}.scale_shift`, [h, projection]);
    let shortcut = resampled('resample_shortcut', x);
    if (block.shortcut === 'convolution') {
      shortcut = convolution(this.#graph, `${name}.conv_shortcut`, shortcut, outChannels, { kernel: 1 });
    }
    h = this.#dropped(`${name}.dropout`, this.#activation(`${name}.act2`, h, activation));
    h = this.#convolution(`${name}.conv2`, h, outChannels);
    return this.#scaled(`${name}.scale`, this.#sum(`${name}.add`, h, shortcut), block.scale);
  }

  #dropped(name: string, input: number): number {
    if (this.#draws === null) return input;
    return this.#graph.add({ op: 'dropout', rate: this.#dropout }, name, [input, this.#draws]);
  }

  #outputOf(norm: string, name: string, input: number, to: number, style: { groups: number; epsilon: number }): number {
    return this.#convolution(name, this.#normed(norm, input, style), to);
  }

  #normed(norm: string, input: number, { groups, epsilon }: { groups: number; epsilon: number }): number {
    return silu(this.#graph, `${norm}.silu`, this.#groupNorm(norm, input, groups, epsilon));
  }

  #output(): number {
    const { output, outChannels, pool } = this.#description;
    if (output === null) {
      if (this.#result === null) throw new DpmError('ERR_DPM_INTERNAL', 'the network has no output');
      return this.#copy('output', this.#result);
    }
    if (pool?.method === 'features') return this.#copy('output', this.#current);
    if (pool !== undefined) {
      const features = this.#normed('conv_norm_out', this.#current, output);
      return this.#copy('output', pooled(this.#graph, features, pool, outChannels));
    }
    const own = this.#outputOf('conv_norm_out', 'conv_out', this.#current, outChannels, output);
    return this.#result === null ? own : this.#copy('output', this.#sum('output.add', own, this.#result));
  }

  #addHead(): void {
    const { head, blocks } = this.#description;
    if (head === null) return;
    const { prefix, groups, epsilon } = head;
    // The extra block is of the same style as the network's.
    const own = blocks.find((each) => each.kind === 'residual');
    const block: ResidualBlock = {
      name: `${prefix}.resnet`,
      outChannels: this.#channels(this.#current),
      groups1: groups,
      groups2: groups,
      epsilon,
      timeMode: own?.timeMode ?? 'add',
      activation: own?.activation ?? 'silu',
      resample: 'none',
      shortcut: 'identity',
      scale: 1,
    };
    const features = head.complex ? this.#residual(block, this.#current) : this.#current;
    const out = this.#outputOf(`${prefix}.norm_out`, `${prefix}.conv_out`, features, head.outChannels, head);
    this.#graph.output('head', out);
  }
}

/**
 * Builds the graph of a U-Net, or of a classifier, half of one: inputs `image` [C, H, W], `time` and, if
 * class-conditional, `label`; outputs `output` and, with a head, `head`. It computes the same as the network's authors,
 * sample for sample; devices fuse it.
 *
 * @param dropout - Rate of the dropout in residual blocks, before their second convolution, for training: then with the input
 * `draws`.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose channels or sides do not fit.
 */
export function unetGraph(description: UNetDescription, dropout = 0): Graph {
  return new UNetCompiler(description, dropout).compile();
}
