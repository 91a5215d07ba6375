// Watches a card while something is timed: its clocks, power and temperature, and the reasons for lower clocks. nvidia-smi looks
// twice a second, in a process of its own.
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

const BETWEEN_MILLISECONDS = 500;
const measures = ['clocks.sm', 'clocks.mem', 'power.draw', 'temperature.gpu'];
/** The two names of a field, of which the second was used before CUDA 12.3. */
const reasonFields = ['clocks_event_reasons.active', 'clocks_throttle_reasons.active'];
/** The bits of NVML's `nvmlClocksEventReason`. */
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

/** Sums up samples: the lowest and highest clocks, and the maximum of all else. */
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

  /** Begins to watch. Without nvidia-smi there are no samples. */
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

  /** The samples since the last call, summed up as fields of a row. */
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
