import { DpmError } from '../../base/errors.js';
import { timeOfEntry } from '../../estimation/data-estimate.js';
import type { DiffusionModel } from '../../model.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { checkedMoments, readGammaTable, type GammaTable } from '../../variance/gamma.js';
import { type Call, type Command } from '../command.js';
import { usageError } from '../usage-error.js';
import { modelOptions, withModel } from '../model-options.js';
import type { Series } from './drawn.js';
import { chartTarget, targetPath, writeChart } from './write.js';

/**
 * Refuses schedules without times for the entries of a table of moments.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming a schedule of noise alone.
 */
export function requireTableTimes(schedule: NoiseSchedule): void {
  if (!schedule.preservesVariance) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `the noise schedule '${schedule.name}' is noise alone; tables of second moments are for variance preserving ones`,
    );
  }
}

/** The table that was given, or the model's own. */
export function requiredGamma({ schedule, gamma: own }: DiffusionModel, given: GammaTable | null): GammaTable {
  requireTableTimes(schedule);
  const gamma = given ?? own;
  if (gamma === null) throw usageError('the model has no gamma.json: give --gamma (dpm gamma makes one)');
  return gamma;
}

/**
 * Computes m_n for n = 1..N and, if the schedule is known, Gamma_n = m_n / B_n; entry n belongs to t = n / N of a continuous
 * schedule.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming a schedule of noise alone.
 */
export function gammaSeries(gamma: GammaTable, schedule: NoiseSchedule | null): Series[] {
  if (schedule !== null) requireTableTimes(schedule);
  const moments = Array.from(checkedMoments(gamma, schedule?.steps ?? gamma.numTrainTimesteps));
  const points = (value: (m: number, n: number) => number): [number, number][] =>
    moments.slice(1).map((m, i) => [i + 1, value(m, i + 1)]);
  const own = { label: 'm_n = E||eps||^2 / d', points: points((m) => m) };
  if (schedule === null) return [own];
  const scores = points((m, n) => m / schedule.betaBar(timeOfEntry(schedule, n)));
  return [{ label: 'Gamma_n = m_n / B_n', points: scores }, own];
}

async function plotGamma(call: Call, path: string, gamma: GammaTable, schedule: NoiseSchedule | null): Promise<void> {
  await writeChart(call, path, {
    title: `Second moments from ${gamma.imagesPerStep} images a time`,
    x: { label: 'time n', scale: 'linear' },
    y: { label: 'second moment per dimension', scale: 'log' },
    series: gammaSeries(gamma, schedule),
  });
}

export const plotGammaCommand: Command = {
  name: 'plot gamma',
  summary:
    'Second moments of the noise prediction (m_n) and of the score (Gamma_n, which needs the noise schedule of MODEL).',
  arguments: ['[MODEL]'],
  options: {
    ...chartTarget,
    gamma: { value: 'FILE', help: "the table; default the model's gamma.json" },
    ...modelOptions,
  },
  async run(call) {
    const path = await targetPath(call, 'gamma', '.svg');
    const file = call.options.string('gamma');
    const table = file === undefined ? null : await readGammaTable(file);
    if (call.positionals.length > 0) {
      await withModel(call, async (model) => {
        await plotGamma(call, path, requiredGamma(model, table), model.schedule);
      });
      return;
    }
    if (table === null) throw usageError('give MODEL, --gamma or both');
    await plotGamma(call, path, table, null);
  },
};
