// A weights file that another process shortens while it is loaded is an error, whenever that happens; the process lives.
import { spawn } from 'node:child_process';
import { cpSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { packagePath, temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();

/** Loads a model again and again until that fails, and prints the code of the error. */
const loader = `
  import { DiffusionModel } from ${JSON.stringify(packagePath('dist/index.js'))};
  console.log('ready');
  for (;;) {
    try {
      await (await DiffusionModel.load(process.argv[1], { device: 'cpu', threads: 1 })).close();
    } catch (error) {
      console.log(error.code + ' ' + error.message);
      break;
    }
  }`;

/**
 * Gives the output and the end of a process that loads the model while the file is shortened after `delay`
 * milliseconds.
 */
async function shortened(model: string, delay: number): Promise<{ said: string; signal: NodeJS.Signals | null }> {
  const weights = join(model, 'unet', 'diffusion_pytorch_model.safetensors');
  const child = spawn(process.execPath, ['--input-type=module', '-e', loader, model], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.on('data', (part: Buffer) => {
    said += part.toString();
    timer ??= setTimeout(() => {
      truncateSync(weights, Math.floor(statSync(weights).size / 2));
    }, delay);
  });
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => {
    child.on('close', (_, by) => {
      resolve(by);
    });
  });
  return { said, signal };
}

describe('a weights file that becomes shorter while it is loaded', () => {
  it.each([5, 20, 50, 90, 140, 200])('is an error after %i ms', async (delay) => {
    const model = join(folder, `model-${delay}`);
    cpSync(packagePath('models/mnist'), model, { recursive: true });
    const { said, signal } = await shortened(model, delay);
    expect(signal).toBeNull();
    expect(said).toMatch(/^ready\nERR_DPM_FILE_TRUNCATED .*diffusion_pytorch_model\.safetensors.*\n$/);
  });
});
