export { DpmError, dpmErrorCodes, type DpmErrorCode } from './errors.js';
export { Device, devices, type ComputeType, type DeviceInfo, type DeviceOptions, type MemoryUse } from './device.js';
export { DeviceTensor } from './tensor.js';
export { ImageBatch } from './images.js';
export type { PixelRange } from './pixel-range.js';
export { DiffusionModel, type LoadOptions, type RunOptions, type RunResult, type SampleOptions } from './model.js';
export { UNet, type ForwardOptions, type ForwardResult, type NetworkInfo, type TensorLike } from './unet.js';
export { runProgram, type RunProgramOptions } from './run-program.js';
export { update, type NoiseStream, type UpdateRegisters } from './update.js';
export type { Correction, ModelOutput, ScriptModel } from './evaluator.js';
export type { HostContext, Reduction, Term } from './host-context.js';
export type { NoiseOption } from './noise-source.js';
export type { Prediction, ScheduleDefaults } from './schedule/defaults.js';
export { NoiseSchedule, type ScheduleOptions } from './schedule/noise-schedule.js';
export type { NetworkTime } from './schedule/network-time.js';
export {
  continuousGrid,
  discreteTransitions,
  type Trajectory,
  type TrajectoryOptions,
  type Transition,
} from './schedule/trajectory.js';
export { samplerNames, samplers, type SamplerName } from './samplers/index.js';
export type { ClipOption, Sampler, SamplerOptions } from './samplers/options.js';
export { linear, stepProgram, stepRecord } from './samplers/builder.js';
export { packRecords, RECORD_BYTES } from './samplers/pack.js';
export {
  MAX_HISTORY,
  type Clip,
  type HostProgram,
  type LinearUpdate,
  type Program,
  type ProgramHead,
  type RecordVariance,
  type StepProgram,
  type StepRecord,
} from './samplers/program.js';
export { estimateGamma, type EstimateGammaOptions } from './variance/estimate.js';
export type { EstimatedModel, ScriptedModel } from './variance/estimated-model.js';
export { estimateErrors, type EstimateErrorsOptions } from './likelihood/estimate-errors.js';
export { readErrorTable, writeErrorTable, type ErrorTable } from './variance/error-table.js';
export { fixedVarianceCosts, type FixedVariance } from './variance/fixed-costs.js';
export { analyticCosts } from './variance/optimal-costs.js';
export { optimalTrajectory, type JumpCosts } from './schedule/optimal-trajectory.js';
export { analyticVariance, analyticVarianceBounds, lastNoiseDeviation } from './variance/analytic.js';
export { readGammaTable, writeGammaTable, type GammaTable } from './variance/gamma.js';
export {
  estimateLikelihood,
  likelihoodSamplerNames,
  type LikelihoodOptions,
  type LikelihoodSampler,
} from './likelihood/estimate.js';
export type { DecoderName } from './likelihood/decoder.js';
export type { BitsEstimate, Likelihood } from './likelihood/summary.js';
export { jump, type Jump } from './samplers/jump.js';
export { readSafetensorsHeader, type SafetensorsHeader, type TensorEntry } from './checkpoint/safetensors.js';
export { readFloats, writeSafetensors, type HostTensor } from './checkpoint/tensor-data.js';
