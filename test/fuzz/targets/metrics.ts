// Lines of metrics, read and cut off.
import { meanLosses, MetricsFile, readLosses } from '../../../lib/training/metrics.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  const path = fileOf(data, 'metrics.jsonl');
  await takenOrRefused(async () => {
    const losses = await readLosses(path);
    const ascend = losses.every(({ step }, i) => step > (losses[i - 1]?.step ?? 0));
    if (!ascend || meanLosses(losses, 3).length !== Math.ceil(losses.length / 3)) throw new Error('steps in disorder');
  });
  // Whatever is there, a run can go on behind it.
  const file = await MetricsFile.open(path, 5);
  await file.close();
  const left = await readLosses(path);
  if ((left.at(-1)?.step ?? 0) !== file.lastStep) throw new Error(`${left.length} lines up to ${file.lastStep}`);
}
