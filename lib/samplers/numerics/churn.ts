import { linear, stepRecord } from '../../program/builder.js';
import type { LinearUpdate, RecordVariance, StepRecord } from '../../program/record.js';
import { levelOfRatio, noiseRatio, type NoiseLevel } from '../../schedule/noise-level.js';
import type { SamplerOptions } from '../options.js';
import { scalarVariance, type SolverPlan } from './solver-plan.js';

/** Level to which noise has been added: the state is multiplied by `scale`, then noise of this deviation is added. */
export interface ChurnedLevel {
  level: NoiseLevel;
  scale: number;
  deviation: number;
}

/**
 * Lists every level with the noise that is added before it is evaluated (Karras et al. 2022, algorithm 2): sigma / alpha
 * grows by the share min(sChurn / M, sqrt(2) - 1) if it is between sTmin and sTmax, M the number of levels.
 *
 * @param levels - Evaluated levels; the data may follow.
 */
export function churnedLevels(
  plan: SolverPlan,
  levels: readonly NoiseLevel[],
  { sChurn = 0, sTmin = 0, sTmax = Infinity, sNoise = 1 }: SamplerOptions,
): ChurnedLevel[] {
  const share = Math.min(sChurn / levels.length, Math.SQRT2 - 1);
  return levels.map((level) => {
    const ratio = noiseRatio(level);
    if (share === 0 || ratio < sTmin || ratio > sTmax) return { level, scale: 1, deviation: 0 };
    const grown = ratio * (1 + share);
    const raised = levelOfRatio(plan.schedule, grown);
    return {
      level: raised,
      scale: raised.alpha / level.alpha,
      deviation: raised.alpha * sNoise * Math.sqrt(grown * grown - ratio * ratio),
    };
  });
}

/** Makes an update to a level, and then adds the noise of that level. */
export function withChurn(
  { x, y, out, history }: LinearUpdate,
  { scale, deviation }: ChurnedLevel,
): { x: LinearUpdate; variance: RecordVariance } {
  const scaled = linear({ x: scale * x, y: scale * y, out: scale * out, history: history.map((each) => scale * each) });
  return { x: scaled, variance: scalarVariance(deviation) };
}

/** Makes the noise of the first level, before any evaluation; none if it has none. */
export function openingRecords(first: ChurnedLevel): StepRecord[] {
  if (first.deviation === 0) return [];
  return [stepRecord({ evaluate: false, time: 0, ...withChurn(linear({ x: 1 }), first) })];
}
