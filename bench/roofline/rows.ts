import type { NativeNode } from '../../lib/engine/native-node.js';
import type { Card } from './cards.js';
import type { RooflineType } from './layout.js';
import { kernelsOfStep, stepCost, stepTime, type StepCost } from './model.js';

/** A network's graph and the name it is listed under. */
export interface NamedGraph {
  network: string;
  nodes: readonly NativeNode[];
}

/** A step of one network on one card. */
export interface CardTime {
  card: string;
  /** Microseconds at the rates of the data sheet, and at those that large products and copies reach. */
  sheetMicroseconds: number;
  microseconds: number;
  /** Shares of `microseconds` in kernels that wait for bytes, and in those that take as long as any node of a graph. */
  bytes: number;
  nodes: number;
}

/** One line of the report. */
export interface RooflineRow extends StepCost {
  network: string;
  dtype: RooflineType;
  batch: number;
  cards: CardTime[];
}

/** The choice of types, batches, cards and networks to compute. */
export interface RooflineChoice {
  types: readonly RooflineType[];
  batches: readonly number[];
  cards: readonly Card[];
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}

function rowsOfGraph({ network, nodes }: NamedGraph, type: RooflineType, choice: RooflineChoice): RooflineRow[] {
  return choice.batches.map((batch) => {
    const kernels = kernelsOfStep(nodes, type, batch);
    const times = choice.cards.map((card): CardTime => {
      const { seconds, limits } = stepTime(kernels, batch, card);
      return {
        card: card.name,
        sheetMicroseconds: rounded(1e6 * stepTime(kernels, batch, card, 'sheet').seconds),
        microseconds: rounded(1e6 * seconds),
        bytes: rounded(limits.bytes),
        nodes: rounded(limits.node),
      };
    });
    return { network, dtype: type, batch, ...stepCost(kernels, batch), cards: times };
  });
}

/** Computes the rows of every combination that was chosen. */
export function rooflineRows(graphs: readonly NamedGraph[], choice: RooflineChoice): RooflineRow[] {
  return graphs.flatMap((graph) => choice.types.flatMap((type) => rowsOfGraph(graph, type, choice)));
}
