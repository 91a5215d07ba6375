// Scheduler files of diffusers, compiled to a program.
import { parseJson } from '../../../lib/files/parse-json.js';
import { DpmError } from '../../../lib/base/errors.js';
import { samplers } from '../../../lib/samplers/index.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  await takenOrRefused(() => {
    const wrong = (problem: string): DpmError => new DpmError('ERR_DPM_CONFIG', problem);
    const config = parseJson(data.toString(), wrong, { python: true });
    const schedule = NoiseSchedule.fromSchedulerConfig(config as Record<string, unknown>);
    const program = samplers.scheduler(schedule, { steps: 3 });
    if (program.kind === 'host') return;
    const numbers = program.records.map(({ time }) => time);
    if (!numbers.every(Number.isFinite)) throw new Error(`times ${numbers.join(', ')}`);
  });
}
