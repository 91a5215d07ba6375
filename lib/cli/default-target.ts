import { access, open, rm } from 'node:fs/promises';
import { basename, resolve } from 'node:path';

import type { OptionSpec } from './command.js';
import type { OptionValues } from './option-values.js';

/** Gives a model's name for files: `mnist` of `mnist`, `./models/mnist/` and `mnist.safetensors`, `ddpm` of `google/ddpm`. */
export function modelName(path: string): string {
  return basename(resolve(path)).replace(/\.[a-z]+$/i, '') || 'samples';
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Finds a file in the working folder that is not there yet: `mnist.png`, else `mnist-2.png`, `mnist-3.png`, … */
export async function freePath(name: string, ending: string): Promise<string> {
  let path = `${name}${ending}`;
  for (let number = 2; await exists(path); ++number) path = `${name}-${number}${ending}`;
  return path;
}

/** Makes an empty file of a free name, which no other run can take then. */
async function claimPath(name: string, ending: string): Promise<string> {
  for (;;) {
    const path = await freePath(name, ending);
    try {
      await (await open(path, 'wx')).close();
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** Writes to the path of `--out`, else to one that is free now: another run may have taken the planned one. Gives the path. */
export async function writeOut(
  options: OptionValues,
  name: string,
  ending: string,
  write: (path: string) => Promise<void>,
): Promise<string> {
  const given = options.string('out');
  const path = given ?? (await claimPath(name, ending));
  try {
    await write(path);
  } catch (error) {
    if (given === undefined) await rm(path, { force: true });
    throw error;
  }
  return path;
}

/** Gives the path of `--out`, else a free one, to be checked before the work. */
export async function outOf(options: OptionValues, name: string, ending: string): Promise<string> {
  return options.string('out') ?? freePath(name, ending);
}

/** The option `--out` of commands that choose a path if none is given. */
export function outSpec(help: string, name: string, ending: string, value = 'FILE'): OptionSpec {
  return {
    value,
    group: 'Output',
    help: `${help}; default ${name}${ending} here, or ${name}-2${ending}, … if that is taken`,
  };
}
