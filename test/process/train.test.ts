// `dpm train` killed again and again, as a process of its own: every command goes on, and the end is that of a run that was never
// stopped. DPM_KILLS is the number of kills.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { expect, it } from 'vitest';

import type { StepMetrics } from '../../lib/index.js';
import { dpmMain, dpmProcess } from '../support/dpm.js';
import { Random } from '../support/random.js';
import { eventFiles, shownEvents } from '../support/read-events.js';
import { temporaryFolder } from '../support/temporary.js';
import { tinyNetwork, writeTinyImages } from '../support/training-data.js';

const folder = temporaryFolder();
const kills = Number(process.env.DPM_KILLS ?? 4);
const steps = 60 * kills;

/** Runs a command and kills it some time after its first steps, in the middle of a checkpoint as likely as not. */
async function killed(args: readonly string[], milliseconds: number): Promise<boolean> {
  const child = spawn(process.execPath, [dpmMain, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<boolean>((resolve) => {
    child.on('exit', (code) => {
      resolve(code === 0);
    });
  });
  await new Promise((resolve) => {
    child.stderr.once('data', resolve);
    child.on('exit', resolve);
  });
  await setTimeout(milliseconds);
  child.kill('SIGKILL');
  return ended;
}

it('a run that is killed anywhere ends as if it had never been', { timeout: 60_000 * Math.max(4, kills) }, async () => {
  const data = await writeTinyImages(join(folder, 'data.safetensors'));
  const options = ['--data', data, '--network', tinyNetwork, '--device', 'cpu', '--threads', '1', '--batch', '1'];
  const command = [
    'train',
    ...options,
    '--steps',
    String(steps),
    '--checkpoint-every',
    '3',
    '--samples',
    '0',
    '--tensorboard',
  ];
  const random = new Random(Number(process.env.DPM_SEED ?? 1));
  const run = join(folder, 'killed');
  let done = false;
  for (let i = 0; i < kills && !done; ++i) done = await killed([...command, '--out', run], 600 * random.unit());
  expect(done).toBe(false);
  const last = await dpmProcess(...command, '--out', run, '--json');
  expect(last.stderr).toBe('');
  const { begun } = JSON.parse(last.stdout) as { begun: number };
  expect(begun).toBeGreaterThan(0);
  expect(begun).toBeLessThan(steps);
  const whole = join(folder, 'whole');
  expect((await dpmProcess(...command, '--out', whole)).code).toBe(0);
  const weights = join('unet', 'diffusion_pytorch_model.safetensors');
  expect(await readFile(join(run, weights))).toEqual(await readFile(join(whole, weights)));
  const losses = async (path: string): Promise<[step: number, loss: number, norm: number][]> => {
    const lines = (await readFile(join(path, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
    return lines.map((line) => {
      const { step, loss, gradientNorm } = JSON.parse(line) as StepMetrics;
      return [step, loss, gradientNorm];
    });
  };
  const found = await losses(run);
  expect(found).toHaveLength(steps);
  expect(found).toEqual(await losses(whole));
  const shown = shownEvents(run).map(({ step, values }) => [step, values['train/loss'], values['train/gradient_norm']]);
  expect(shown).toEqual(found.map(([step, ...numbers]) => [step, ...numbers.map(Math.fround)]));
  expect(eventFiles(run).length).toBeGreaterThan(1);
});
