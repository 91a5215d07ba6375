// The fused update against a copy on the card: inside a trajectory, where only the first step asks the network and the rest
// is the time of updates alone, as the difference of two lengths; and called from JavaScript (dpm bench update).
import { linear, stepProgram, stepRecord } from '../../dist/index.js';
import { withClocks } from './clocks.mjs';
import { follow } from './follow.mjs';
import { withModel, withModelFolder } from './networks.mjs';
import { graphsOf } from './own-network.mjs';
import { median, packagePath, printRow, settings } from './settings.mjs';

const { quick, selfTest } = settings;
const network = selfTest ? 'mnist' : 'small-256';
/** Bytes for each element: float32 state and prediction in, state out. */
const BYTES = 12;
const batches = selfTest ? [1] : [1, 16, 256].slice(0, quick ? 2 : 3);
const [few, many] = selfTest ? [2, 4] : [10, 210];
const repeats = selfTest ? 1 : 7;
/** The number of runs after which both lengths are launched as one graph. */
const warmUp = selfTest ? 1 : 4;

const record = stepRecord({
  time: 500,
  prediction: { input: 1.2, output: -0.6 },
  clip: { kind: 'static', low: -1, high: 1 },
  store: { slot: 0, input: 0, data: 1 },
  x: linear({ x: 0.9, history: [0.1] }),
  variance: { kind: 'scalar', deviation: 0.1 },
});
const programOf = (length) => stepProgram(Array.from({ length }, (_, i) => ({ ...record, evaluate: i === 0 })));

async function measure(model, batch, copy, clocks) {
  const time = async (length) => {
    const start = performance.now();
    await model.run(programOf(length), { count: batch, batch });
    return performance.now() - start;
  };
  const differences = [];
  clocks.since();
  for (let i = 0; i < warmUp + repeats; ++i) {
    const difference = (await time(many)) - (await time(few));
    if (i >= warmUp) differences.push(difference);
  }
  const microseconds = (1000 * median(differences)) / (many - few);
  const elements = model.sampleShape.reduce((a, b) => a * b);
  const gigabytesPerSecond = (BYTES * batch * elements) / microseconds / 1000;
  const facts = { where: 'trajectory', name: 'DDPM, scalar variance', batch, elements };
  const circumstances = { ...graphsOf(model.device), ...clocks.since() };
  printRow({ ...facts, microseconds, gigabytesPerSecond, copyGigabytesPerSecond: copy, ...circumstances });
}

async function fromJavaScript(clocks) {
  const command = [packagePath('dist/cli/main.js'), 'bench', 'update', '--device', 'cuda', '--json'];
  const lines = [];
  clocks.since();
  const { status, why } = await follow(process.execPath, command, { onLine: (line) => lines.push(line) });
  if (status !== 0) throw new Error(`dpm bench update: ${why}`);
  const { rows, copyGigabytesPerSecond } = JSON.parse(lines.join('\n'));
  const seen = clocks.since();
  for (const { name, batch, elements, milliseconds, gigabytesPerSecond } of rows) {
    const microseconds = 1000 * milliseconds;
    printRow({
      where: 'call',
      name,
      batch,
      elements,
      microseconds,
      gigabytesPerSecond,
      copyGigabytesPerSecond,
      ...seen,
    });
  }
}

const inTrajectory = (clocks) =>
  withModelFolder(network, (folder) =>
    withModel(folder, { device: 'cuda', dtype: 'bf16' }, async (model) => {
      // The emulated device would take minutes to find its own.
      const copy = selfTest ? null : (await model.device.engine.measurePeak()).copyGigabytesPerSecond;
      for (const batch of batches) await measure(model, batch, copy, clocks);
    }),
  );

await withClocks(async (clocks) => {
  await inTrajectory(clocks);
  if (!selfTest) await fromJavaScript(clocks);
});
