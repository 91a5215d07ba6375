import { DpmError } from '../base/errors.js';
import type { Program } from '../program/program.js';
import { controlDefaults, type GivenControl } from './control-options.js';
import type { ConditionalUNet } from './conditional-unet.js';
import type { PreparedControl } from './prepared-control.js';
import type { GenerateCall } from './resolve-call.js';

/** A ControlNet of a run. */
export interface PromptedControl {
  readonly use: { readonly picture: PreparedControl; readonly scale: number };
  /** Tells whether it is evaluated at a network time. */
  readonly isActive: (time: number) => boolean;
}

/** Finds the times of a program's evaluations at which a ControlNet is one, as diffusers counts them. */
function activeAt({ start, end }: GivenControl, program: Program): PromptedControl['isActive'] {
  if (start === controlDefaults.start && end === controlDefaults.end) return () => true;
  if (program.kind !== 'step') {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      'start and end of controls are for samplers of fixed steps, this one chooses its own',
    );
  }
  const evaluations = program.records.filter(({ evaluate }) => evaluate);
  const times = evaluations.flatMap(({ time }, i) => {
    const isWithin = i / evaluations.length >= start && (i + 1) / evaluations.length <= end;
    return isWithin ? [Math.fround(time)] : [];
  });
  const active = new Set(times);
  return (time) => active.has(Math.fround(time));
}

/**
 * Checks that the ControlNets of a call are evaluated at times that are known.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` where a sampler chooses its own.
 */
export function requireKnownTimes({ controls }: Pick<GenerateCall, 'controls'>, program: Program): void {
  for (const control of controls) activeAt(control, program);
}

/** Computes what the ControlNets of a call see of their pictures, once for the whole run. */
export async function promptedControls(
  unet: ConditionalUNet,
  { controls, height, width }: Pick<GenerateCall, 'controls' | 'height' | 'width'>,
  program: Program,
): Promise<PromptedControl[]> {
  const prepared: PromptedControl[] = [];
  for (const control of controls) {
    const { index, pictures, scale } = control;
    const factor = unet.controlNets[index]?.factor ?? 1;
    const picture = await unet.prepareControl(index, pictures, { height: height * factor, width: width * factor });
    prepared.push({ use: { picture, scale }, isActive: activeAt(control, program) });
  }
  return prepared;
}
