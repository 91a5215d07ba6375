import { elementCount } from '../../base/arrays.js';
import { nativeWork } from '../../base/errors.js';
import { loadableNetwork } from '../../checkpoint/model-folder.js';
import { readModelFolder } from '../../checkpoint/read-model.js';
import { MOST_AT_ONCE } from '../../engine/binding.js';
import { Device } from '../../engine/device.js';
import { Network } from '../../engine/network.js';
import { type Call } from '../command.js';
import { usageError } from '../usage-error.js';
import { loadOptions } from '../model-options.js';
import { printJson, printLine, printTable } from '../output.js';
import { gflopsOf } from './floor.js';
import { benchNetworks } from './networks.js';
import { printProfile, type Profile, profile } from './profile.js';
import { loadRandomNetwork } from './random-network.js';
import { benchDefaults } from './settings.js';
import { timeCalls } from './timing.js';

/** The name of a public configuration, or a model as every command takes it. */
async function loadNetwork(device: Device, name: string, signal: AbortSignal): Promise<Network> {
  const known = Object.hasOwn(benchNetworks, name) ? benchNetworks[name] : undefined;
  if (known !== undefined) return loadRandomNetwork(device, known.unet, signal);
  const { unet, graph } = await loadableNetwork(await readModelFolder(name), null);
  return Network.load(device, unet, graph, { signal });
}

interface Measurement {
  network: string;
  batch: number;
  milliseconds: number;
  fastest: number;
  gflops: number;
  shareOfPeak: number;
  weightBytes: number;
}

async function measure(
  loaded: Network,
  network: string,
  batch: number,
  peak: number,
  call: Call,
): Promise<Measurement> {
  const { inChannels, outChannels, height, width, multiplyAdds, classes, weightBytes } = loaded.info;
  const x = new Float32Array(batch * elementCount([inChannels, height, width])).map((_, i) => Math.sin(i));
  const out = new Float32Array(batch * elementCount([outChannels, height, width]));
  const t = new Float32Array(batch).fill(500);
  const classLabels = classes > 0 ? new Int32Array(batch) : undefined;
  const times = await timeCalls(
    async () => {
      await loaded.forward(x, t, { out, classLabels });
    },
    { milliseconds: 1500, least: 5, signal: call.signal },
  );
  const gflops = gflopsOf(multiplyAdds * batch, times.median);
  return {
    network,
    batch,
    milliseconds: times.median,
    fastest: times.quantile(0),
    gflops,
    shareOfPeak: gflops / peak,
    weightBytes,
  };
}

function formatRow(row: Measurement): string[] {
  return [
    row.network,
    String(row.batch),
    row.milliseconds.toFixed(2),
    row.fastest.toFixed(2),
    row.gflops.toFixed(1),
    (100 * row.shareOfPeak).toFixed(0),
    (row.weightBytes / 1e6).toFixed(0),
  ];
}

/** Times one network evaluation, against the device's peak of multiply-adds measured in the same run. */
export async function benchNfe(call: Call): Promise<void> {
  const networks = call.options.string('network')?.split(',') ?? benchDefaults.networks;
  const batches: readonly number[] = call.options.numbers('batch') ?? benchDefaults.batches;
  if (!batches.every((batch) => Number.isInteger(batch) && batch > 0 && batch <= MOST_AT_ONCE)) {
    throw usageError(`--batch has to be integers from 1 to ${MOST_AT_ONCE}, separated by commas`);
  }
  const device = Device.open(loadOptions(call.options));
  try {
    const rates = await nativeWork(() => device.engine.measurePeak());
    const { gflops: peak, copyGigabytesPerSecond } = rates;
    const rows: Measurement[] = [];
    const profiles: Profile[] = [];
    for (const name of networks) {
      const loaded = await loadNetwork(device, name, call.signal);
      for (const batch of batches) {
        const row = await measure(loaded, name, batch, peak, call);
        rows.push(row);
      }
      if (call.options.flag('profile')) profiles.push(await profile(loaded, name, batches[0] ?? 1, rates));
      await loaded.close();
    }
    if (call.json) {
      const { name, threads } = device;
      const profiled = profiles.length > 0 && { profiles };
      printJson({
        benchmark: 'nfe',
        device: name,
        threads,
        peakGflops: peak,
        copyGigabytesPerSecond,
        rows,
        ...profiled,
      });
      return;
    }
    for (const each of profiles) printProfile(each, rates);
    printLine(`${device.name}: ${device.description}; ${device.threads} threads, peak ${peak.toFixed(0)} GFLOP/s`);
    printLine("GFLOP/s count a direct convolution, the peak is float32's: Winograd, bfloat16 and AMX can exceed it");
    printTable([
      ['network', 'batch', 'ms/evaluation', 'fastest', 'GFLOP/s', '% of peak', 'weights, MB'],
      ...rows.map(formatRow),
    ]);
  } finally {
    await device.close();
  }
}
