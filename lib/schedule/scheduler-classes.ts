import type { BetaName } from './betas.js';

/** Facts about a scheduler class of diffusers: its defaults, and which of the common fields it has. */
export interface SchedulerClass {
  /** Kind of the network's training: a table of betas, the VE-SDE or EDM's preconditioning. */
  readonly kind: 'betas' | 've' | 'edm';
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betaSchedule: BetaName;
  /** List of the `beta_schedule` values it knows. */
  readonly betaSchedules: readonly BetaName[];
  /** Default of `clip_sample`; null: it never clips. */
  readonly clips: boolean | null;
  readonly thresholds: boolean;
  readonly rescales: boolean;
  /** True if it draws noise of the variance in `variance_type`. */
  readonly hasVariance: boolean;
  /** True if it has `timestep_type`. */
  readonly continuous: boolean;
}

const common: readonly BetaName[] = ['linear', 'scaled_linear', 'squaredcos_cap_v2'];

const plain: SchedulerClass = {
  kind: 'betas',
  betaStart: 1e-4,
  betaEnd: 0.02,
  betaSchedule: 'linear',
  betaSchedules: common,
  clips: null,
  thresholds: false,
  rescales: false,
  hasVariance: false,
  continuous: false,
};
const latent = { betaStart: 0.00085, betaEnd: 0.012 };

const ddpm = {
  ...plain,
  betaSchedules: [...common, 'sigmoid', 'laplace'],
  clips: true,
  thresholds: true,
  rescales: true,
  hasVariance: true,
} as const satisfies SchedulerClass;
const ddim = { ...ddpm, betaSchedules: common, hasVariance: false };
const solver = { ...plain, thresholds: true };

/** Name of a scheduler class of diffusers. */
export type SchedulerClassName =
  | 'DDIMInverseScheduler'
  | 'DDIMParallelScheduler'
  | 'DDIMScheduler'
  | 'DDPMParallelScheduler'
  | 'DDPMScheduler'
  | 'DEISMultistepScheduler'
  | 'DPMSolverMultistepInverseScheduler'
  | 'DPMSolverMultistepScheduler'
  | 'DPMSolverSDEScheduler'
  | 'DPMSolverSinglestepScheduler'
  | 'EDMDPMSolverMultistepScheduler'
  | 'EDMEulerScheduler'
  | 'EulerAncestralDiscreteScheduler'
  | 'EulerDiscreteScheduler'
  | 'HeunDiscreteScheduler'
  | 'KDPM2AncestralDiscreteScheduler'
  | 'KDPM2DiscreteScheduler'
  | 'LCMScheduler'
  | 'LMSDiscreteScheduler'
  | 'PNDMScheduler'
  | 'RePaintScheduler'
  | 'SASolverScheduler'
  | 'ScoreSdeVeScheduler'
  | 'UnCLIPScheduler'
  | 'UniPCMultistepScheduler';

/** Schedulers by their class. */
export const schedulerClasses: Readonly<Record<SchedulerClassName, SchedulerClass>> = {
  DDIMInverseScheduler: { ...ddim, thresholds: false },
  DDIMParallelScheduler: ddim,
  DDIMScheduler: ddim,
  DDPMParallelScheduler: ddpm,
  DDPMScheduler: ddpm,
  DEISMultistepScheduler: solver,
  DPMSolverMultistepInverseScheduler: solver,
  DPMSolverMultistepScheduler: { ...solver, rescales: true },
  DPMSolverSDEScheduler: { ...plain, ...latent },
  DPMSolverSinglestepScheduler: solver,
  EDMDPMSolverMultistepScheduler: { ...solver, kind: 'edm' },
  EDMEulerScheduler: { ...plain, kind: 'edm' },
  EulerAncestralDiscreteScheduler: { ...plain, rescales: true },
  EulerDiscreteScheduler: { ...plain, rescales: true, continuous: true },
  HeunDiscreteScheduler: { ...plain, ...latent, betaSchedules: [...common, 'exp'], clips: false },
  KDPM2AncestralDiscreteScheduler: { ...plain, ...latent },
  KDPM2DiscreteScheduler: { ...plain, ...latent },
  LCMScheduler: { ...ddim, ...latent, betaSchedule: 'scaled_linear', clips: false },
  LMSDiscreteScheduler: plain,
  PNDMScheduler: plain,
  RePaintScheduler: { ...plain, betaSchedules: [...common, 'sigmoid'], clips: true },
  SASolverScheduler: solver,
  ScoreSdeVeScheduler: { ...plain, kind: 've' },
  UnCLIPScheduler: {
    ...plain,
    betaSchedule: 'squaredcos_cap_v2',
    betaSchedules: ['squaredcos_cap_v2'],
    clips: true,
    hasVariance: true,
  },
  UniPCMultistepScheduler: { ...solver, rescales: true },
};

export const schedulerClassNames = Object.keys(schedulerClasses) as SchedulerClassName[];
