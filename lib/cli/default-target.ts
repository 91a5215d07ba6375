import { access } from 'node:fs/promises';
import { basename, resolve } from 'node:path';

import type { OptionSpec } from './command.js';

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

/** The option `--out` of commands that choose a path if none is given. */
export function outSpec(help: string, name: string, ending: string, value = 'FILE'): OptionSpec {
  return {
    value,
    group: 'Output',
    help: `${help}; default ${name}${ending} here, or ${name}-2${ending}, … where that is`,
  };
}
