import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { Program } from '../program/program.js';
import { controlDefaults, type GivenControl } from './control-options.js';
import type { ConditionalUNet } from './conditional-unet.js';
import type { PreparedControl } from './prepared-control.js';
import type { GenerateCall } from './resolve-call.js';

/** A ControlNet of a run. */
export interface PromptedControl {
  readonly use: { readonly picture: PreparedControl; readonly scale: number };
  /** Tells for each evaluation at a network time, in their order, whether it is one of them; null: it always is. */
  readonly active: ReadonlyMap<number, readonly boolean[]> | null;
}

/** Finds the evaluations of a program at which a ControlNet is evaluated, too, as diffusers counts them. */
function activeIn({ start, end }: GivenControl, program: Program): PromptedControl['active'] {
  if (start === controlDefaults.start && end === controlDefaults.end) return null;
  if (program.kind !== 'step') {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      'start and end of controls are for samplers of fixed steps, this one chooses its own',
    );
  }
  const evaluations = program.records.filter(({ evaluate }) => evaluate);
  const active = new Map<number, boolean[]>();
  for (const [i, { time }] of evaluations.entries()) {
    const isWithin = i / evaluations.length >= start && (i + 1) / evaluations.length <= end;
    const key = Math.fround(time);
    active.set(key, [...(active.get(key) ?? []), isWithin]);
  }
  return active;
}

/** Counts how often samples have been evaluated at a time, which some samplers do more than once. */
export class ControlCounter {
  readonly #controls: readonly PromptedControl[];
  readonly #counts = new Map<string, number>();

  constructor(controls: readonly PromptedControl[]) {
    this.#controls = controls;
  }

  /** Lists the ControlNets of the next evaluation of a sample at a time. */
  next(sample: number, time: number): readonly PromptedControl[] {
    const times = this.#controls.map(({ active }) => active?.get(time) ?? []);
    const count = this.#counted(`${sample} ${time}`, Math.max(1, ...times.map(({ length }) => length)));
    return this.#controls.filter((_, k) => times[k]?.[count] ?? true);
  }

  /** Counts from 0; begins anew after so many, as a step that is taken back is evaluated at its time again and again. */
  #counted(key: string, repeats: number): number {
    const count = this.#counts.get(key) ?? 0;
    if (count + 1 < repeats) this.#counts.set(key, count + 1);
    else this.#counts.delete(key);
    return count;
  }
}

/**
 * Checks that the ControlNets of a call are evaluated at times that are known.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` where a sampler chooses its own.
 */
export function requireKnownTimes({ controls }: Pick<GenerateCall, 'controls'>, program: Program): void {
  for (const control of controls) activeIn(control, program);
}

/** Computes what the ControlNets of a call see of their pictures, once for the whole run. */
export async function promptedControls(
  unet: ConditionalUNet,
  { controls, height, width, signal }: Pick<GenerateCall, 'controls' | 'height' | 'width' | 'signal'>,
  program: Program,
): Promise<PromptedControl[]> {
  const prepared: PromptedControl[] = [];
  for (const control of controls) {
    const { index, pictures, scale } = control;
    const { factor } = at(unet.controlNets, index);
    const size = { height: height * factor, width: width * factor, signal };
    const picture = await unet.prepareControl(index, pictures, size);
    prepared.push({ use: { picture, scale }, active: activeIn(control, program) });
  }
  return prepared;
}
