// Every public call with hostile values, one at a time: each is refused with a code of ours and a message of one line, or done;
// nothing hangs, and what the caller's own objects throw reaches the caller. Of calls that run, which take longest, a third of the
// values are tried; DPM_ATTACK=all tries all.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Classifier, Device, DiffusionModel } from '../../lib/index.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';
import { answerOf, misuses, type PublicCall } from './attack.js';
import { classifierCalls, fileCalls, plainCalls, runningCalls } from './public-calls.js';

const folder = temporaryFolder();
let model: DiffusionModel;
let device: Device;

beforeAll(async () => {
  process.chdir(folder);
  model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu', threads: 1 });
  device = Device.open({ device: 'cpu', threads: 1 });
});
afterAll(async () => {
  await model.close();
  await device.close();
});

/** Tries every value, or each one of `share`: every one of them comes with some call. */
async function problemsOf(calls: readonly PublicCall[], share = 1): Promise<{ tried: number; problems: string[] }> {
  const problems: string[] = [];
  let [tried, seen] = [0, 0];
  for (const call of calls) {
    const valid = await answerOf(call, call.args);
    if (valid !== null) problems.push(`${call.name} with valid arguments: ${valid}`);
    for (const { what, args } of misuses(call)) {
      if (++seen % share !== 0) continue;
      ++tried;
      const problem = await answerOf(call, args);
      if (problem !== null) problems.push(`${what}: ${problem}`);
    }
  }
  return { tried, problems };
}

describe('hostile values', { timeout: 600_000 }, () => {
  it('of schedules, programs, samplers and images', async () => {
    const { tried, problems } = await problemsOf(plainCalls());
    expect(tried).toBeGreaterThan(10_000);
    expect(problems).toEqual([]);
  });

  it('of files', async () => {
    const { tried, problems } = await problemsOf(fileCalls(folder));
    expect(tried).toBeGreaterThan(1000);
    expect(problems).toEqual([]);
  });

  it('of what runs', async () => {
    const share = process.env.DPM_ATTACK === 'all' ? 1 : 3;
    const { tried, problems } = await problemsOf(runningCalls(model, device), share);
    expect(tried).toBeGreaterThan(5000 / share);
    expect(problems).toEqual([]);
  });

  it('of classifiers', async () => {
    const place = packagePath('test/fixtures/unet/classifier-attention');
    await using classifier = await Classifier.load(place, { device });
    const { tried, problems } = await problemsOf(classifierCalls(classifier, place));
    expect(tried).toBeGreaterThan(200);
    expect(problems).toEqual([]);
  });
});
