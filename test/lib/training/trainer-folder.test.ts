// The folder of a trainer's run: a run that stops and goes on is one run.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { DiffusionModel, Trainer, type StepMetrics } from '../../../lib/index.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { pathsIn, temporaryFolder } from '../../support/temporary.js';
import { largest, tensorReader } from '../../support/tensors.js';
import { tinyImages, tinyRun } from '../../support/training-data.js';
import { linesOf, trained, withoutTimes } from '../../support/training-runs.js';

const newFolder = pathsIn(temporaryFolder());

const weightsOf = (run: string): Promise<Buffer> => readFile(join(run, 'unet', 'diffusion_pytorch_model.safetensors'));

describe('the folder of a run', () => {
  it('is a model from the first checkpoint on, of the average', async () => {
    const out = newFolder();
    const saved: number[] = [];
    await using trainer = await Trainer.open(tinyRun({ out, onCheckpoint: ({ step }) => void saved.push(step) }));
    for (let i = 0; i < 3; ++i) await trainer.step();
    expect(saved).toEqual([3]);
    await using model = await DiffusionModel.load(out, { device: 'cpu', threads: 1 });
    const { images } = await model.sample({ sampler: 'ddim', steps: 2, seed: 1, classLabels: 2 });
    expect(images.data.every(Number.isFinite)).toBe(true);
    const header = await readSafetensorsHeader(join(out, 'unet', 'diffusion_pytorch_model.safetensors'));
    expect([...header.tensors.keys()].sort()).toEqual([...model.unet.tensors.keys()].sort());
    await using own = await trainer.model();
    const again = await own.sample({ sampler: 'ddim', steps: 2, seed: 1, classLabels: 2 });
    expect(again.images.data).toEqual(images.data);
    expect(own.device).toBe(trainer.device);
  });

  it('goes on to the bit after a signal at any step', { timeout: 60_000 }, async () => {
    const whole = newFolder();
    await using trainer = await Trainer.open(tinyRun({ out: whole }));
    await trainer.run();
    const parts = newFolder();
    const stops = [1, 2, 4, 5];
    for (const stop of stops) {
      const abort = new AbortController();
      const onStep = ({ step }: StepMetrics): void => {
        if (step === stop) abort.abort(new Error('enough'));
      };
      await using part = await Trainer.open(tinyRun({ out: parts, signal: abort.signal, onStep }));
      await expect(part.run()).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
      expect(part.done).toBeGreaterThanOrEqual(stop);
    }
    await using last = await Trainer.open(tinyRun({ out: parts }));
    expect(last.begun).toBeGreaterThanOrEqual(5);
    await last.run();
    expect(await weightsOf(parts)).toEqual(await weightsOf(whole));
    for (const file of ['parameters', 'first_moments', 'second_moments', 'average']) {
      const [one, other] = [whole, parts].map((run) => join(run, 'checkpoints', 'step-6', `${file}.safetensors`));
      expect(await readFile(other!), file).toEqual(await readFile(one!));
    }
    expect((await linesOf(parts)).map(withoutTimes)).toEqual((await linesOf(whole)).map(withoutTimes));
    const seconds = (await linesOf(parts)).map((line) => line.seconds);
    expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
  });

  it('counts its seconds on', async () => {
    const out = newFolder();
    const trainer = await Trainer.open(tinyRun({ out }));
    for (let i = 0; i < 3; ++i) await trainer.step();
    await trainer.close();
    const before = (await linesOf(out)).at(-1)!.seconds;
    const state = await readFile(join(out, 'checkpoints', 'step-3', 'state.json'), 'utf8');
    expect(JSON.parse(state)).toMatchObject({ progress: { seconds: before } });
    await using again = await Trainer.open(tinyRun({ out }));
    const { seconds, imagesPerSecond } = await again.step();
    expect((seconds - before) * imagesPerSecond).toBeCloseTo(2, 3);
  });

  it("has Adam's moments in its checkpoint", async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(tinyRun({ out, adamBeta1: 0.5, adamBeta2: 0.9, checkpointEvery: 1 }));
    await trainer.step();
    const read = (file: string) => tensorReader(join(out, 'checkpoints', 'step-1', file))('conv_in.weight');
    const [first, second] = [await read('first_moments.safetensors'), await read('second_moments.safetensors')];
    expect(first.some((value) => value !== 0)).toBe(true);
    // The first step makes of a gradient g g / 2 and g^2 / 10.
    const expected = first.map((value) => 0.1 * (2 * value) ** 2);
    expect(largest(second.map((value, i) => value - expected[i]!)) / largest(second)).toBeLessThan(1e-5);
  });

  it('goes on from its last checkpoint when steps behind it were lost', async () => {
    const out = newFolder();
    const trainer = await Trainer.open(tinyRun({ out }));
    for (let i = 0; i < 5; ++i) await trainer.step();
    await trainer.close();
    expect((await linesOf(out)).length).toBe(5);
    await using again = await Trainer.open(tinyRun({ out }));
    expect([again.begun, again.done]).toEqual([3, 3]);
    expect((await linesOf(out)).length).toBe(3);
    await again.run();
    expect(await again.tensors('parameters')).toEqual(await trained());
  });

  it('has a checkpoint of a loop that was left', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(tinyRun({ out }));
    for await (const { step } of trainer) if (step === 4) break;
    expect(await trainer.save()).toEqual({ step: 4, path: join(out, 'checkpoints', 'step-4') });
    await trainer.close();
    await using again = await Trainer.open(tinyRun({ out }));
    expect(again.begun).toBe(4);
  });

  it('has one run at a time, and none after its end', async () => {
    const out = newFolder();
    const trainer = await Trainer.open(tinyRun({ out }));
    await expect(Trainer.open(tinyRun({ out }))).rejects.toThrow('trains there');
    await trainer.run();
    await trainer.close();
    await using done = await Trainer.open(tinyRun({ out }));
    expect([done.begun, await done.run()]).toEqual([6, null]);
  });

  it.each(
    Object.entries({
      batch: 4,
      accumulate: 2,
      seed: 4,
      rate: 2e-3,
      rateSchedule: 'cosine',
      warmup: 3,
      averageDecay: 0.5,
      averageSchedule: 'constant',
      averageGamma: 2,
      averagePower: 0.5,
      clip: 0.01,
      adamBeta1: 0.5,
      adamBeta2: 0.9,
      adamEpsilon: 1e-3,
      weightDecay: 0.1,
      flips: true,
      labelDropout: 0.9,
      prediction: 'v',
      snrGamma: 5,
      data: tinyImages(13),
    }),
  )('refuses another %s than the run was begun with', async (name, value) => {
    const out = newFolder();
    const trainer = await Trainer.open(tinyRun({ out }));
    await trainer.step();
    await trainer.save();
    await trainer.close();
    const attempt = Trainer.open(tinyRun({ out, [name]: value }));
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    await expect(attempt).rejects.toThrow(new RegExp(`^${name} is .*was begun with`));
  });

  it('refuses another end of a rate that depends on it, and takes a later one of a constant rate', async () => {
    for (const [rateSchedule, isTaken] of [
      ['constant', true],
      ['linear', false],
    ] as const) {
      const out = newFolder();
      const settings = { out, rateSchedule, averageSchedule: 'constant' } as const;
      const trainer = await Trainer.open(tinyRun(settings));
      await trainer.run();
      await trainer.close();
      const later = Trainer.open(tinyRun({ ...settings, steps: 8 }));
      if (!isTaken) {
        await expect(later).rejects.toThrow(/^steps is 8/);
        continue;
      }
      await using goesOn = await later;
      await goesOn.run();
      expect(await goesOn.tensors('parameters')).toEqual(await trained({ steps: 8 }));
    }
  });

  it('refuses another noise schedule than the run was begun with', async () => {
    const out = newFolder();
    const schedule = `${newFolder()}.json`;
    await writeFile(schedule, JSON.stringify({ _class_name: 'DDPMScheduler', num_train_timesteps: 100 }));
    const trainer = await Trainer.open(tinyRun({ out }));
    await trainer.step();
    await trainer.save();
    await trainer.close();
    await expect(Trainer.open(tinyRun({ out, schedule }))).rejects.toThrow(/^scheduler is .*was begun with/);
  });

  it('takes other options as long as there is no checkpoint', async () => {
    const out = newFolder();
    const trainer = await Trainer.open(tinyRun({ out }));
    await trainer.step();
    await trainer.close();
    await using again = await Trainer.open(tinyRun({ out, batch: 4 }));
    expect(again.begun).toBe(0);
    await again.run();
    expect(await again.tensors('parameters')).toEqual(await trained({ batch: 4 }));
  });

  it('tells of checkpoints that are damaged, and goes on from one that is not', async () => {
    const out = newFolder();
    const trainer = await Trainer.open(tinyRun({ out }));
    await trainer.run();
    await trainer.close();
    await writeFile(join(out, 'checkpoints', 'step-6', 'average.safetensors'), 'nothing');
    await using again = await Trainer.open(tinyRun({ out }));
    expect(again.begun).toBe(3);
    expect(again.damaged.map(({ path }) => path)).toEqual([join(out, 'checkpoints', 'damaged-step-6')]);
    expect(again.damaged[0]!.error.code).toBe('ERR_DPM_FILE_TRUNCATED');
    await again.run();
    expect(await again.tensors('average')).toEqual(await trained({}, 'average'));
  });

  it('is closed once a checkpoint in progress is written', async () => {
    const out = newFolder();
    const trainer = await Trainer.open(tinyRun({ out }));
    await trainer.step();
    const saving = trainer.save();
    await trainer.close();
    expect(await readdir(join(out, 'checkpoints'))).toEqual(['step-1']);
    await using again = await Trainer.open(tinyRun({ out }));
    expect(again.begun).toBe(1);
    expect((await saving).step).toBe(1);
  });

  it('is closed from within a hook', async () => {
    const out = newFolder();
    const opened: Trainer[] = [];
    const onCheckpoint = async (): Promise<void> => opened[0]?.close();
    const trainer = await Trainer.open(tinyRun({ out, onCheckpoint }));
    opened.push(trainer);
    await expect(trainer.run()).rejects.toMatchObject({ code: 'ERR_DPM_CLOSED' });
    await trainer.close();
    await using again = await Trainer.open(tinyRun({ out }));
    expect(again.begun).toBe(3);
  });

  it('has a whole checkpoint that a hook has begun and not waited for', async () => {
    const saved: Promise<unknown>[] = [];
    const runs = await Promise.all(
      [true, false].map(async (isHook) => {
        const out = newFolder();
        const onStep = ({ step }: StepMetrics): void => {
          if (isHook && step === 2) saved.push(trainer.save());
        };
        await using trainer = await Trainer.open(tinyRun({ out, onStep, checkpointEvery: 100 }));
        for (let step = 1; step <= 3; ++step) {
          await trainer.step();
          if (!isHook && step === 2) await trainer.save();
        }
        await Promise.all(saved);
        return out;
      }),
    );
    for (const file of ['parameters', 'first_moments', 'second_moments', 'average']) {
      const [one, other] = runs.map((run) => join(run, 'checkpoints', 'step-2', `${file}.safetensors`));
      expect((await readFile(one!)).equals(await readFile(other!)), file).toBe(true);
    }
  });

  it('is let go where the signal has aborted', async () => {
    const out = newFolder();
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(Trainer.open(tinyRun({ out, signal }))).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    const early = new AbortController();
    const idle = await Trainer.open(tinyRun({ out, signal: early.signal }));
    early.abort();
    await expect(idle.step()).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    expect(await readdir(out)).not.toContain('checkpoints');
    await idle.close();
    const abort = new AbortController();
    await using trainer = await Trainer.open(tinyRun({ out, signal: abort.signal }));
    await trainer.step();
    abort.abort();
    for (const call of [() => trainer.step(), () => trainer.run()]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    }
    expect(await readdir(join(out, 'checkpoints'))).toEqual(['step-1']);
    await trainer.close();
    await using again = await Trainer.open(tinyRun({ out }));
    expect(again.begun).toBe(1);
  });

  it('keeps as many checkpoints as it is told', async () => {
    for (const [checkpointsKept, expected] of [
      [1, ['step-6']],
      [3, ['step-2', 'step-4', 'step-6']],
    ] as const) {
      const out = newFolder();
      await using trainer = await Trainer.open(tinyRun({ out, checkpointEvery: 2, checkpointsKept }));
      await trainer.run();
      expect((await readdir(join(out, 'checkpoints'))).sort()).toEqual(expected);
    }
  });
});
