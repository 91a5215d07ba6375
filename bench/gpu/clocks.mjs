// What a card did while something was timed: its clocks, power and temperature, and what held its clocks back. nvidia-smi looks
// twice a second, in a process of its own.
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

const BETWEEN_MILLISECONDS = 500;
const measures = ['clocks.sm', 'clocks.mem', 'power.draw', 'temperature.gpu'];
/** Its name before CUDA 12.3 comes second. */
const reasonFields = ['clocks_event_reasons.active', 'clocks_throttle_reasons.active'];
/** Bits of NVML's `nvmlClocksEventReason`. */
const reasonNames = {
  0x1: 'idle',
  0x2: 'application clocks',
  0x4: 'power cap',
  0x8: 'hardware slowdown',
  0x10: 'sync boost',
  0x20: 'software thermal slowdown',
  0x40: 'hardware thermal slowdown',
  0x80: 'power brake',
  0x100: 'display clocks',
};

const query = (reasons) => [
  `--query-gpu=${[...measures, reasons].join(',')}`,
  '--format=csv,noheader,nounits',
  '--id=0',
];

function parse(line) {
  const [processor, memory, watts, celsius, reasons] = line.split(',').map((value) => Number(value.trim()));
  return { processor, memory, watts, celsius, reasons };
}

/** What samples have in common: from the lowest to the highest clocks, the most of the rest. */
function summary(samples) {
  const of = (key) => samples.map((sample) => sample[key]).filter(Number.isFinite);
  const range = (key) => (of(key).length > 0 ? [Math.min(...of(key)), Math.max(...of(key))] : null);
  const names = Object.entries(reasonNames).filter(([bit]) => of('reasons').some((reasons) => reasons & Number(bit)));
  return {
    processorMegahertz: range('processor'),
    memoryMegahertz: range('memory'),
    watts: range('watts')?.[1] ?? null,
    celsius: range('celsius')?.[1] ?? null,
    heldBackBy: names.map(([, name]) => name),
  };
}

export class Clocks {
  #process = null;
  #samples = [];

  /** Begins to look; without nvidia-smi there is nothing to see. */
  constructor() {
    const able = (reasons) => spawnSync('nvidia-smi', query(reasons), { timeout: 10_000 }).status === 0;
    const reasons = reasonFields.find(able);
    if (reasons === undefined) return;
    this.#process = spawn('nvidia-smi', [...query(reasons), `--loop-ms=${BETWEEN_MILLISECONDS}`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#process.on('error', () => undefined);
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#samples.push(parse(line)));
  }

  /** What was seen since the last question, as fields of a row. */
  since() {
    const samples = this.#samples.splice(0, this.#samples.length - 1);
    const seen = samples.length > 0 ? samples : this.#samples;
    return seen.length > 0 ? { clocks: summary(seen) } : {};
  }

  close() {
    this.#process?.kill();
  }
}

/** Lends clocks to `use`. */
export async function withClocks(use) {
  const clocks = new Clocks();
  try {
    return await use(clocks);
  } finally {
    clocks.close();
  }
}
