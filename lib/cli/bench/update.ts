import { nativeWork } from '../../base/errors.js';
import type { NativeRegisters } from '../../engine/binding.js';
import { Device } from '../../engine/device.js';
import { linear, stepRecord } from '../../program/builder.js';
import { packRecord, RECORD_BYTES } from '../../program/pack.js';
import type { StepRecord } from '../../program/record.js';
import type { Call } from '../command.js';
import { loadOptions } from '../model-options.js';
import { printJson, printLine, printTable } from '../output.js';
import { timeCalls } from './timing.js';

interface Update {
  name: string;
  record: StepRecord;
  /** True if the new prediction goes to the ring. */
  store: boolean;
  /** Number of bytes that a fused update has to move per element. */
  bytes: number;
}

const ancestral = stepRecord({
  time: 500,
  prediction: { input: 1.2, output: -0.6 },
  clip: { kind: 'static', low: -1, high: 1 },
  store: { slot: 0, input: 0, data: 1 },
  x: linear({ x: 0.9, history: [0.1] }),
  variance: { kind: 'scalar', deviation: 0.1 },
});

const updates: readonly Update[] = [
  { name: 'DDPM, scalar variance', record: ancestral, store: false, bytes: 12 },
  {
    name: 'SN-DPM, variance per pixel',
    record: {
      ...ancestral,
      variance: {
        kind: 'linear',
        offset: 0.01,
        head: 0.1,
        epsilonSquared: -0.1,
        epsilon: { input: 0, output: 1 },
        low: 0.01,
        high: 0.1,
      },
    },
    store: false,
    bytes: 16,
  },
  {
    name: 'DPM-Solver++ 2M, no noise',
    record: {
      ...ancestral,
      clip: { kind: 'none' },
      variance: { kind: 'none' },
      x: linear({ x: 0.9, history: [0.15, -0.05] }),
    },
    store: true,
    bytes: 20,
  },
];

/** Numbers of images of 3 x 32 x 32: one, 128, 1024. */
const batches = [1, 128, 1024];
const elements = 3 * 32 * 32;
/** Number of images updated by consecutive calls, so that the engine's thread does not wait for JavaScript. */
const QUEUED = 128;

async function measure(device: Device, update: Update, batch: number, signal: AbortSignal): Promise<number> {
  const tensor = () => device.tensor([batch, elements]);
  const values = new Float32Array(batch * elements).map((_, i) => Math.cos(i));
  const [x, out, head, first, second] = [tensor(), tensor(), tensor(), tensor(), tensor()];
  for (const each of [x, out, head, first, second]) await each.write(values);
  const registers: NativeRegisters = {
    x: x.native,
    y: null,
    out: out.native,
    head: head.native,
    noise: null,
    history: [first.native, second.native],
  };
  const records = new Uint8Array(batch * RECORD_BYTES);
  const record = packRecord(update.record, update.store);
  const streams = new Uint32Array(5 * batch);
  for (let n = 0; n < batch; ++n) {
    records.set(record, n * RECORD_BYTES);
    streams[5 * n + 2] = n;
  }
  const call = (): Promise<void> => device.engine.update(batch, elements, records, registers, streams);
  const calls = Math.max(1, QUEUED / batch);
  const times = await timeCalls(
    async () => {
      await Promise.all(Array.from({ length: calls }, call));
    },
    { milliseconds: 400, least: 20, signal },
  );
  for (const each of [x, out, head, first, second]) each.free();
  return times.median / calls;
}

/** Times the fused update, call included, and its bandwidth against a copy measured in the same run. */
export async function benchUpdate(call: Call): Promise<void> {
  const device = Device.open(loadOptions(call.options));
  try {
    const { copyGigabytesPerSecond: copy } = await nativeWork(() => device.engine.measurePeak());
    const rows: string[][] = [];
    const facts: object[] = [];
    for (const update of updates) {
      for (const batch of batches) {
        const milliseconds = await measure(device, update, batch, call.signal);
        const gigabytes = (update.bytes * batch * elements) / milliseconds / 1e6;
        const { name, bytes } = update;
        facts.push({
          name,
          batch,
          elements,
          milliseconds,
          bytesPerElement: bytes,
          gigabytesPerSecond: gigabytes,
        });
        rows.push([
          name,
          `${batch} x 3x32x32`,
          (1000 * milliseconds).toFixed(1),
          String(bytes),
          gigabytes.toFixed(1),
          ((100 * gigabytes) / copy).toFixed(0),
        ]);
      }
    }
    if (call.json) {
      const { name, threads } = device;
      printJson({ benchmark: 'update', device: name, threads, copyGigabytesPerSecond: copy, rows: facts });
      return;
    }
    printLine(`${device.name}: ${device.description}; ${device.threads} threads, copy ${copy.toFixed(1)} GB/s`);
    printTable([['update', 'batch', 'us', 'bytes/element', 'GB/s', '% of copy'], ...rows]);
  } finally {
    await device.close();
  }
}
