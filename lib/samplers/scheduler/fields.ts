import { DpmError } from '../../base/errors.js';
import { ConfigReader } from '../../files/config-reader.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { SchedulerClassName } from '../../schedule/scheduler-classes.js';
import { schedulerClassNames } from '../../schedule/scheduler-classes.js';
import { spacingNames, type Spacing } from '../../schedule/spacing.js';

/** The fields of a scheduler's file, read with the defaults of its class. */
export class SchedulerFields {
  readonly className: SchedulerClassName;
  readonly config: ConfigReader;

  /** Reads the file. @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the schedule comes from no scheduler's file. */
  constructor(readonly schedule: NoiseSchedule) {
    if (schedule.scheduler === null) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        "sampler 'scheduler' runs the scheduler file of a model, and this noise schedule comes from none: name a sampler",
      );
    }
    const { config, source } = schedule.scheduler;
    this.config = new ConfigReader(config, source);
    this.className = this.config.choice('_class_name', 'DDPMScheduler', schedulerClassNames);
  }

  /**
   * Refuses a field unless it is absent or has the one supported value.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming it.
   */
  only(name: string, value: boolean | null): void {
    const given = this.config.raw(name);
    if (given !== undefined && given !== value) throw this.config.unsupported(name, String(value));
  }

  /** Refuses a flow scheduler: its levels are for another kind of network. */
  refuseFlow(): void {
    this.only('use_flow_sigmas', false);
  }

  /** Reads `timestep_spacing` and `steps_offset`. */
  spacing(absent: Spacing): { spacing: Spacing; offset: number } {
    return {
      spacing: this.config.choice('timestep_spacing', absent, spacingNames),
      offset: this.config.integer('steps_offset', 0, { least: 0, most: 1_000_000 }),
    };
  }

  /**
   * Makes the times of these fields.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the fields if a time is not one of the network's.
   */
  times(make: () => number[]): number[] {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof DpmError)) throw error;
      throw new DpmError(error.code, `${this.config.source}: timestep_spacing and steps_offset: ${error.message}`);
    }
  }

  /** Tells whether the last step goes to the data (`zero`) or to the least noise (`sigma_min`). */
  finalSigma(): 'zero' | 'sigma_min' {
    return this.config.choice('final_sigmas_type', 'zero', ['zero', 'sigma_min']);
  }

  /**
   * Finds the spacing of levels, if not by their times.
   *
   * @throws {@link DpmError} `ERR_DPM_CONFIG` if more than one of the fields is true.
   */
  sigmaSpacing(): RatioSpacing | null {
    const [first, second] = ratioSpacings.filter((name) => this.config.boolean(sigmaFields[name], false));
    if (first === undefined) return null;
    if (second !== undefined) throw this.config.error(sigmaFields[second], `false beside ${sigmaFields[first]}`);
    return first;
  }

  /** Finds the spacing for a class with `use_lu_lambdas`, which overrides all but Karras' levels. */
  sigmaOrLuSpacing(): SigmaSpacing | null {
    const spacing = this.sigmaSpacing();
    return spacing !== 'karras' && this.config.boolean('use_lu_lambdas', false) ? 'lu' : spacing;
  }

  /** Reads `sigma_max` and `sigma_min` of levels that are spread; those of `absent` if they are null. */
  spreadEnds(absent: { most: number; least: number }): { most: number; least: number } {
    return { most: this.#sigma('sigma_max', absent.most), least: this.#sigma('sigma_min', absent.least) };
  }

  #sigma(name: string, absent: number): number {
    return (this.config.raw(name) ?? null) === null ? absent : this.config.positive(name, absent);
  }

  /** Reads a choice in which other names stand for the default, as `from_config` of another class leaves them. */
  choiceOr<T extends string>(name: string, absent: T, supported: readonly T[], others: readonly string[]): T {
    const value = this.config.string(name, absent);
    return others.includes(value) ? absent : this.config.choice(name, absent, supported);
  }
}

/** Spacing by Karras, exponential, or by quantiles of the beta distribution. */
export type RatioSpacing = 'karras' | 'exponential' | 'beta';

/** Spacing by ratio, or even in the table's own logarithms (`use_lu_lambdas`). */
export type SigmaSpacing = RatioSpacing | 'lu';

const ratioSpacings: readonly RatioSpacing[] = ['karras', 'exponential', 'beta'];

/** Fields of these spacings. */
export const sigmaFields: Readonly<Record<SigmaSpacing, string>> = {
  karras: 'use_karras_sigmas',
  exponential: 'use_exponential_sigmas',
  beta: 'use_beta_sigmas',
  lu: 'use_lu_lambdas',
};
