import { at } from '../base/arrays.js';
import { anyContext, ConditionalCompiler, smallestStates, type Attention } from './conditional-compiler.js';
import type { ConditionalDescription, ControlDescription, HintDescription } from './conditional-description.js';
import { requiredTensors } from './cost.js';
import { GraphBuilder, type Graph } from './graph.js';
import { convolution, silu } from './layers.js';
import type { Extents } from './operation.js';

/** Prefix of the weights of a ControlNet beside those of its U-Net. */
export function controlPrefix(index: number): string {
  return `control.${index}`;
}

/** Tells whether a weight is one of a ControlNet. */
export function isOfControl(name: string): boolean {
  return /^control\.\d+\./.test(name);
}

/** Builds a ControlNet for the smallest states that it takes, and lists its attentions to the context. */
export function smallestControl(
  encoder: ConditionalDescription,
  prefix: string,
): { graph: Graph; attentions: readonly Attention[] } {
  const graph = new GraphBuilder();
  const compiler = new ConditionalCompiler(encoder, graph, anyContext(graph), prefix);
  const image = smallestStates(graph, encoder);
  const hint = graph.input('hint', { ...graph.value(image), channels: at(encoder.levels, 0).channels });
  compiler.residuals(image, hint, 1);
  return { graph: graph.build(), attentions: compiler.attentions };
}

/**
 * Lists the weights of a ControlNet, whose shapes are the same for any size, as its own file names them.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose channels do not fit.
 */
export function controlWeights({ encoder, hint }: ControlDescription): Map<string, number[]> {
  const { graph, attentions } = smallestControl(encoder, '');
  const ofContext = attentions.flatMap(({ name, channels }) =>
    ['to_k', 'to_v'].map((part): [string, number[]] => [`${name}.${part}.weight`, [channels, encoder.contextWidth]]),
  );
  const features = hintGraph({ encoder, hint }, '', { height: hintFactor(hint), width: hintFactor(hint) });
  return new Map([...requiredTensors(graph), ...ofContext, ...requiredTensors(features)]);
}

/** Number of pixels of a picture that controls for each of the states. */
export function hintFactor({ widths }: HintDescription): number {
  return 2 ** (widths.length - 1);
}

/**
 * Builds the graph of what a ControlNet sees of a picture, which is the same in all evaluations.
 *
 * Input `image`: the picture, [C, H, W]. Output `output`: its features, of the states' size.
 */
export function hintGraph(
  { encoder, hint: { channels, widths } }: ControlDescription,
  prefix: string,
  { height, width }: Pick<Extents, 'height' | 'width'>,
): Graph {
  const graph = new GraphBuilder();
  const name = `${prefix}controlnet_cond_embedding`;
  const convolved = (part: string, x: number, to: number, stride = 1): number =>
    silu(graph, `${name}.${part}.silu`, convolution(graph, `${name}.${part}`, x, to, { stride }));
  let h = convolved('conv_in', graph.input('image', { channels, height, width }), at(widths, 0));
  for (const [i, to] of widths.slice(1).entries()) {
    h = convolved(`blocks.${2 * i}`, h, at(widths, i));
    h = convolved(`blocks.${2 * i + 1}`, h, to, 2);
  }
  graph.output('output', convolution(graph, `${name}.conv_out`, h, at(encoder.levels, 0).channels));
  return graph.build();
}
