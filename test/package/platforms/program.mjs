// Run by scripts/check-platforms with every runtime, in a project that has installed the tarball: what a program does with
// the package. Prints a line of JSON: which runtime that was, and a hash of the digits that it drew.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread, Worker } from 'node:worker_threads';

import { devices, DiffusionModel, DpmError } from 'dpm-native';

import { evaluationBits, noiseBits } from './evaluation.mjs';

const sha256 = (array) =>
  createHash('sha256')
    .update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength))
    .digest('hex');
const run = { sampler: 'analytic-ddpm', steps: 10, count: 2, seed: 1 };

/** Digits on one device; what else is asked of it comes before it is closed. */
async function draw(device, more = async () => undefined) {
  const model = await DiffusionModel.load('mnist', { device });
  try {
    const { images } = await model.sample(run);
    await more(model, images);
    return images.data.slice();
  } finally {
    await model.close();
  }
}

async function survives(model, images) {
  // On a thread of its own, which a program may end at any time.
  await assert.rejects(model.sample({ ...run, steps: 1000, count: 8, signal: AbortSignal.timeout(20) }), {
    code: 'ERR_DPM_ABORTED',
  });
  await assert.rejects(model.sample({ ...run, steps: 0 }), DpmError);
  const folder = mkdtempSync(join(tmpdir(), 'dpm-zwölf-'));
  const file = join(folder, 'digits é.png');
  await images.save(file);
  assert.equal(readFileSync(file).subarray(1, 4).toString(), 'PNG');
  const copy = join(folder, 'modèle');
  // Not cpSync, which in some Nodes takes names for another encoding's on Windows.
  await cp(new URL('node_modules/dpm-native/models/mnist', import.meta.url), copy, { recursive: true });
  const loaded = await DiffusionModel.load(copy, { device: 'cpu' });
  await loaded.close();
  rmSync(folder, { recursive: true });
}

if (isMainThread) {
  const listed = devices();
  for (const name of ['cpu', 'reference']) {
    assert.equal(listed.find((device) => device.name === name)?.usable, true, JSON.stringify(listed));
  }
  const drawn = await draw('cpu', survives);
  // The plug-in computes in double precision.
  const exact = await draw('reference');
  const largest = Math.max(...drawn.map((value, index) => Math.abs(value - exact[index])));
  assert(largest < 1e-3, `the cpu differs from the reference by ${largest}`);
  // As bundlers, test runners and servers load it: once more in the same process.
  const inWorker = await new Promise((resolve, reject) => {
    new Worker(new URL(import.meta.url)).once('message', resolve).once('error', reject);
  });
  assert.equal(inWorker, sha256(drawn));
  const dist = new URL('node_modules/dpm-native/dist/', import.meta.url);
  const [evaluation, noise] = [await evaluationBits(dist), await noiseBits(dist)];
  const { bun, deno, node } = process.versions;
  const name = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
  const instructions = listed.find((device) => device.name === 'cpu').description.split(',')[0];
  const digits = sha256(drawn);
  console.log(
    JSON.stringify({ name, system: `${process.platform}-${process.arch}`, instructions, digits, evaluation, noise }),
  );
} else {
  const { parentPort } = await import('node:worker_threads');
  parentPort.postMessage(sha256(await draw('cpu')));
}
