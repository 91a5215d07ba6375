// What dpm generate gives to ControlNets: pictures that control, with their factors and shares of the run.
import { basename, resolve } from 'node:path';

import { at } from '../base/arrays.js';
import { ImageBatch } from '../images/image-batch.js';
import { controlDefaults, controlOptionFacts as facts, type ControlOptions } from '../latents/control-options.js';
import { pipelineOptionFacts } from '../latents/load-pipeline.js';
import { specOf, type OptionSpec, type OptionSpecs } from './command.js';
import type { OptionValues } from './option-values.js';
import { usageError } from './usage-error.js';

const forEach = (fact: (typeof facts)[keyof typeof facts]): OptionSpec => ({
  ...specOf(fact, `${fact.help}: one for all ControlNets, or one for each`),
  isRepeated: true,
});

/** Options of ControlNets. */
export const controlSpecs: OptionSpecs = {
  controlnet: { ...specOf(pipelineOptionFacts.controlNets), isRepeated: true },
  'control-image': {
    value: 'FILE',
    help: 'picture that controls (.png), or several, one for each image (a folder); one for each ControlNet',
    isRepeated: true,
  },
  'control-scale': forEach(facts.scale),
  'control-start': forEach(facts.start),
  'control-end': forEach(facts.end),
};

/** Reads the numbers of an option, one for all of `count` ControlNets or one for each. */
function numbersOf(options: OptionValues, name: 'scale' | 'start' | 'end', count: number): (number | undefined)[] {
  const flag = `control-${name}`;
  const texts = options.strings(flag) ?? [];
  const numbers = texts.map((text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (facts[name].kind.holds(value)) return value;
    throw usageError(`--${flag} is '${text}', it has to be ${facts[name].kind.expected}`);
  });
  if (numbers.length === count || numbers.length === 0) return numbers;
  if (numbers.length === 1) return new Array<number>(count).fill(at(numbers, 0));
  throw usageError(`--${flag} is given ${numbers.length} times for ${count} of --control-image`);
}

/** Reads the pictures that control a picture of a call, or all of its pictures; undefined: none do. */
export async function controlsOf(
  options: OptionValues,
  position: number | undefined,
): Promise<ControlOptions[] | undefined> {
  const paths = options.strings('control-image');
  if (paths === undefined) {
    const lonely = Object.keys(controlSpecs).find((name) => options.has(name));
    if (lonely === undefined) return undefined;
    throw usageError(`--${lonely} is for --control-image FILE, the picture that controls`);
  }
  const folders = options.strings('controlnet')?.length ?? paths.length;
  if (folders !== paths.length) {
    throw usageError(`--control-image is given ${paths.length} times for ${folders} of --controlnet`);
  }
  const [scales, starts, ends] = (['scale', 'start', 'end'] as const).map((name) =>
    numbersOf(options, name, paths.length),
  );
  return Promise.all(
    paths.map(async (path, k) => {
      const image = await pictureAt(path, position);
      return { image, scale: scales?.[k], start: starts?.[k], end: ends?.[k] };
    }),
  );
}

/** Reads a picture, or those of a folder; of several the one of a position, where there is one. */
export async function pictureAt(path: string, position: number | undefined): Promise<ImageBatch> {
  const all = await ImageBatch.load(path);
  return position === undefined || all.count === 1 ? all : at([...all], position);
}

/** Tells of ControlNets in the parameters of pictures: their folders, factors and shares of the run. */
export function namedControls(
  options: OptionValues,
  controls: readonly ControlOptions[] | undefined,
): string | undefined {
  const folders = options.strings('controlnet');
  return controls
    ?.map(({ scale = controlDefaults.scale, start = controlDefaults.start, end = controlDefaults.end }, k) => {
      const folder = folders?.[k];
      return `${folder === undefined ? k : basename(resolve(folder))}:${scale}:${start}-${end}`;
    })
    .join(', ');
}
