import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { ConditionalDescription } from './conditional-description.js';
import type { HeadDescription } from './description.js';
import type { GraphBuilder } from './graph.js';
import { convolution, copied, embeddingMlp, groupNorm, linear, silu, sum } from './layers.js';
import { transformer, type ContextOf, type TransformerBlock } from './transformer.js';

/** Attention to the context: the prefix of its weights, and its width. */
export interface Attention {
  readonly name: string;
  readonly channels: number;
}

/** How norms over groups of channels are made. */
type NormStyle = Pick<ConditionalDescription, 'groups' | 'epsilon'>;

/** Maps that a ControlNet adds to those of a U-Net: one for each of its skips, and one behind its middle. */
export interface Residuals {
  readonly skips: readonly number[];
  readonly middle: number;
}

/** Compiles a conditional U-Net, or a ControlNet, whose weights have a prefix. */
export class ConditionalCompiler {
  /** Attentions to the context, in the order of their nodes. */
  readonly attentions: Attention[] = [];
  readonly #description: ConditionalDescription;
  readonly #graph: GraphBuilder;
  readonly #contextOf: ContextOf;
  readonly #prefix: string;
  readonly #skips: number[] = [];
  #embedding = 0;

  constructor(description: ConditionalDescription, graph: GraphBuilder, contextOf: ContextOf, prefix = '') {
    this.#description = description;
    this.#prefix = prefix;
    this.#graph = graph;
    this.#contextOf = (name, channels) => {
      this.attentions.push({ name, channels });
      return contextOf(name, channels);
    };
  }

  /** Adds a whole U-Net and names its outputs. */
  compile(image: number, head: HeadDescription | null = null, controls: readonly Residuals[] = []): void {
    const { levels, kernelOut, outChannels, groups, epsilon } = this.#description;
    let h = this.#middle(this.#encoded(image));
    for (const [k, { skips, middle }] of controls.entries()) {
      for (const [i, skip] of this.#skips.entries()) {
        this.#skips[i] = sum(this.#graph, `control.${k}.add.${i}`, skip, at(skips, i));
      }
      h = sum(this.#graph, `control.${k}.add`, h, middle);
    }
    for (const i of levels.keys()) h = this.#up(h, i);
    const last = silu(this.#graph, 'conv_norm_out.silu', groupNorm(this.#graph, 'conv_norm_out', h, groups, epsilon));
    this.#graph.output('output', convolution(this.#graph, 'conv_out', last, outChannels, { kernel: kernelOut }));
    if (head !== null) this.#head(head, h);
  }

  /** Adds a ControlNet, which sees the features of a picture beside the states; its maps are multiplied by `scale`. */
  residuals(image: number, hint: number, scale: number): Residuals {
    const behind = (name: string, x: number): number => {
      const map = convolution(this.#graph, this.#named(name), x, this.#graph.value(x).channels, { kernel: 1 });
      return scale === 1
        ? map
        : this.#graph.add({ op: 'affine', scale, shift: 0 }, this.#named(`${name}.scale`), [map]);
    };
    const middle = this.#middle(this.#encoded(image, hint));
    return {
      skips: this.#skips.map((skip, i) => behind(`controlnet_down_blocks.${i}`, skip)),
      middle: behind('controlnet_mid_block', middle),
    };
  }

  #named(part: string): string {
    return `${this.#prefix}${part}`;
  }

  /** Adds the way down, whose maps become skips. */
  #encoded(image: number, hint: number | null = null): number {
    const { levels, centerInput, kernelIn } = this.#description;
    this.#embedding = silu(this.#graph, this.#named('time_embedding.silu'), this.#embed());
    const input = centerInput ? this.#graph.add({ op: 'affine', scale: 2, shift: -1 }, 'center_input', [image]) : image;
    const name = this.#named('conv_in');
    const first = convolution(this.#graph, name, this.#map(input, kernelIn), this.#width(0), { kernel: kernelIn });
    let h = this.#push(hint === null ? first : sum(this.#graph, `${name}.hint`, first, hint));
    for (const i of levels.keys()) h = this.#down(h, i);
    return h;
  }

  /** Adds a second output, made of the map that the output norm sees. */
  #head({ prefix, complex, outChannels, groups, epsilon }: HeadDescription, x: number): void {
    const { channels } = this.#graph.value(x);
    const h = complex ? this.#residual(`${prefix}.resnet`, x, channels, { groups, epsilon }) : x;
    const normed = groupNorm(this.#graph, `${prefix}.norm_out`, h, groups, epsilon);
    const last = silu(this.#graph, `${prefix}.norm_out.silu`, normed);
    this.#graph.output('head', convolution(this.#graph, `${prefix}.conv_out`, last, outChannels));
  }

  /** Gives what a convolution reads: one of a single pixel reads no tensor of the caller. */
  #map(input: number, kernel: number): number {
    return kernel === 1 ? copied(this.#graph, 'image', input) : input;
  }

  #width(level: number): number {
    return at(this.#description.levels, level).channels;
  }

  #embed(): number {
    const { time, guidanceFeatures, classes, added } = this.#description;
    const vector = (binding: string, channels: number): number =>
      this.#graph.input(binding, { channels, height: 1, width: 1 });
    const operation = {
      op: 'time_embedding',
      length: this.#width(0),
      frequencyShift: time.shift,
      order: time.order,
      logarithmic: false,
    } as const;
    const name = (part: string): string => this.#named(part);
    let e = this.#graph.add(operation, name('time_proj'), [vector('time', 1)]);
    if (guidanceFeatures !== null) {
      const given = copied(this.#graph, name('guidance'), vector('guidance', guidanceFeatures));
      const projected = linear(this.#graph, name('time_embedding.cond_proj'), given, this.#width(0), false);
      e = sum(this.#graph, name('time_embedding.guidance'), e, projected);
    }
    e = this.#mlp(name('time_embedding'), e);
    if (classes > 0) {
      const weights = [this.#graph.constant(name('class_embedding.weight'), [classes, time.embedding])];
      const row = this.#graph.add({ op: 'embedding' }, name('class_embedding'), [vector('label', 1)], { weights });
      e = sum(this.#graph, name('class_embedding.add'), e, row);
    }
    if (added !== null) {
      const given = copied(this.#graph, name('added'), vector('added', added.length));
      e = sum(this.#graph, name(`${added.name}.add`), e, this.#mlp(name(added.name), given));
    }
    return e;
  }

  #mlp(name: string, input: number): number {
    return embeddingMlp(this.#graph, name, input, this.#description.time.embedding);
  }

  #push(h: number): number {
    this.#skips.push(h);
    return h;
  }

  #down(x: number, i: number): number {
    const { layers, channels, depthDown } = at(this.#description.levels, i);
    const name = this.#named(`down_blocks.${i}`);
    let h = x;
    for (let layer = 0; layer < layers; ++layer) {
      h = this.#residual(`${name}.resnets.${layer}`, h, channels);
      h = this.#push(this.#transformer(`${name}.attentions.${layer}`, h, i, depthDown));
    }
    if (i === this.#description.levels.length - 1) return h;
    return this.#push(convolution(this.#graph, `${name}.downsamplers.0.conv`, h, channels, { stride: 2 }));
  }

  #middle(x: number): number {
    const { middle, levels } = this.#description;
    if (middle === null) return x;
    const { channels } = this.#graph.value(x);
    const name = this.#named('mid_block');
    let h = this.#residual(`${name}.resnets.0`, x, channels);
    h = this.#transformer(`${name}.attentions.0`, h, levels.length - 1, middle.depth, false);
    return this.#residual(`${name}.resnets.1`, h, channels);
  }

  #up(x: number, i: number): number {
    const level = this.#description.levels.length - 1 - i;
    const { layers, channels, depthUp } = at(this.#description.levels, level);
    const name = `up_blocks.${i}`;
    let h = x;
    for (let layer = 0; layer <= layers; ++layer) {
      const skip = this.#skips.pop();
      if (skip === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a skip is popped that was never pushed');
      h = this.#graph.add({ op: 'concat' }, `${name}.concat.${layer}`, [h, skip]);
      h = this.#residual(`${name}.resnets.${layer}`, h, channels);
      h = this.#transformer(`${name}.attentions.${layer}`, h, level, depthUp);
    }
    if (level === 0) return h;
    return convolution(this.#graph, `${name}.upsamplers.0.conv`, this.#enlarged(`${name}.nearest`, h), channels);
  }

  /** Enlarges a map to the size of the next skip, which is twice its own but where a side was odd on the way down. */
  #enlarged(name: string, x: number): number {
    const own = this.#graph.value(x);
    const { height, width } = this.#graph.value(this.#skips.at(-1) ?? x);
    const doubles = height === 2 * own.height && width === 2 * own.width;
    return this.#graph.add(doubles ? { op: 'upsample' } : { op: 'upsample', height, width }, name, [x]);
  }

  #residual(name: string, x: number, to: number, norms: NormStyle = this.#description): number {
    const { timeMode } = this.#description;
    const { groups, epsilon } = norms;
    const normed = (norm: string, input: number): number => groupNorm(this.#graph, norm, input, groups, epsilon);
    const isScaled = timeMode === 'scale-shift';
    let h = silu(this.#graph, `${name}.act1`, normed(`${name}.norm1`, x));
    h = convolution(this.#graph, `${name}.conv1`, h, to);
    const projection = linear(this.#graph, `${name}.time_emb_proj`, this.#embedding, (isScaled ? 2 : 1) * to);
    if (!isScaled) h = this.#graph.add({ op: 'channel_add' }, `${name}.time_add`, [h, projection]);
    h = normed(`${name}.norm2`, h);
    if (isScaled) h = this.#graph.add({ op: 'scale_shift' }, `${name}.scale_shift`, [h, projection]);
    h = convolution(this.#graph, `${name}.conv2`, silu(this.#graph, `${name}.act2`, h), to);
    const isWidened = this.#graph.value(x).channels !== to;
    const shortcut = isWidened ? convolution(this.#graph, `${name}.conv_shortcut`, x, to, { kernel: 1 }) : x;
    return sum(this.#graph, `${name}.add`, h, shortcut);
  }

  #transformer(name: string, x: number, level: number, depth: number, mayBeCross = true): number {
    if (depth === 0) return x;
    const { groups, linearProjection, levels } = this.#description;
    const { heads, onlyCross } = at(levels, level);
    const style: TransformerBlock = {
      name,
      depth,
      heads,
      groups,
      linearProjection,
      onlyCross: mayBeCross && onlyCross,
    };
    return transformer(this.#graph, style, x, this.#contextOf);
  }
}

/** Adds the smallest states that a network takes. */
export function smallestStates(graph: GraphBuilder, { levels, inChannels }: ConditionalDescription): number {
  const side = 2 ** levels.length;
  return graph.input('image', { channels: inChannels, height: side, width: side });
}

/** Gives each attention keys and values of one token, for graphs that are not evaluated. */
export function anyContext(graph: GraphBuilder): ContextOf {
  return (name, channels) => {
    const map = graph.input(name, { channels, height: 1, width: 1 });
    return { keys: map, values: map };
  };
}
