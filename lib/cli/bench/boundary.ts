import { Device } from '../../engine/device.js';
import { linear, stepRecord } from '../../program/builder.js';
import { packRecord } from '../../program/pack.js';
import type { Call } from '../command.js';
import { loadOptions } from '../model-options.js';
import { printJson, printLine, printTable } from '../output.js';
import { timeCalls, type Timings } from './timing.js';

/** Number of calls per timing of functions that are too short to time alone. */
const REPEATS = 1000;

interface Row {
  call: string;
  /** Microseconds per call. */
  median: number;
  p99: number;
}

function row(call: string, times: Timings, calls: number): Row {
  return { call, median: (1000 * times.median) / calls, p99: (1000 * times.quantile(0.99)) / calls };
}

async function measure(device: Device, signal: AbortSignal): Promise<Row[]> {
  const x = device.tensor([1, 4]);
  await x.write(new Float32Array(4));
  const registers = { x: x.native, y: null, out: null, head: null, noise: null, history: [] };
  const record = packRecord(stepRecord({ time: 0, x: linear({ x: 1 }) }), false);
  const streams = new Uint32Array(5);
  const settings = { milliseconds: 500, least: 50, signal };
  const asking = (): void => {
    for (let i = 0; i < REPEATS; ++i) device.engine.memory();
  };
  const rows = [
    row('synchronous call (memory)', await timeCalls(asking, settings), REPEATS),
    row(
      'asynchronous update of 4 elements, awaited',
      await timeCalls(() => device.engine.update(1, 4, record, registers, streams), settings),
      1,
    ),
  ];
  x.free();
  return rows;
}

/** The cost of a call from JavaScript into the engine. */
export async function benchBoundary(call: Call): Promise<void> {
  const device = Device.open(loadOptions(call.options));
  try {
    const rows = await measure(device, call.signal);
    if (call.json) {
      printJson({ benchmark: 'boundary', device: device.name, rows });
      return;
    }
    printLine(`${device.name}, node ${process.version}`);
    printTable([
      ['call', 'median us', 'p99 us'],
      ...rows.map(({ call: name, median, p99 }) => [name, median.toFixed(3), p99.toFixed(3)]),
    ]);
  } finally {
    await device.close();
  }
}
