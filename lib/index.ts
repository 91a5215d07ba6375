export type { DescribedOption } from './base/option-facts.js';
export type { JsonSchema } from './base/option-kinds.js';
export { DpmError, dpmErrorCodes, type DpmErrorCode, type DpmErrorOptions } from './base/errors.js';
export { ImageBatch } from './images/image-batch.js';
export type { DecodeOptions } from './images/decode.js';
export type { GivenImages } from './images/given-images.js';
export type { ImagesTaken } from './images/load.js';
export type { ImageShape } from './images/layout.js';
export type { GridOptions, PictureOptions } from './images/picture-options.js';
export type { PngTexts } from './images/png-text.js';
export { optionFacts } from './option-facts.js';
export type { PixelRange } from './base/pixel-range.js';
export type { HeadName } from './checkpoint/heads.js';
export type { HeadMode } from './checkpoint/trainable-head.js';
export { bundledModels } from './checkpoint/model-path.js';
export {
  Device,
  DeviceTensor,
  computeTypes,
  devices,
  type ComputeType,
  type DeviceInfo,
  type DeviceOptions,
  type DeviceStatistics,
  type MemoryUse,
} from './engine/device.js';
export type { BatchCounts } from './engine/binding.js';
export { Network as UNet, type NetworkInfo } from './engine/network.js';
export type { RecomputePolicy } from './engine/binding.js';
export type {
  ForwardOptions,
  ForwardResult,
  GradientsOptions,
  GradientsResult,
  PullbackOptions,
  PullbackResult,
  PushforwardOptions,
  PushforwardResult,
  TensorLike,
} from './engine/evaluation.js';
export { update, type NoiseStream, type UpdateRegisters } from './engine/update.js';
export type { DataEstimateOptions } from './estimation/data-estimate.js';
export type { EstimatedModel, ScriptedModel } from './estimation/estimated-model.js';
export { estimateGamma, type EstimateGammaOptions } from './estimation/gamma-estimate.js';
export { estimateLatentGamma, type LatentGammaOptions } from './estimation/latent-gamma.js';
export type { DecoderName } from './estimation/likelihood/decoder.js';
export { estimateErrors, type EstimateErrorsOptions } from './estimation/likelihood/estimate-errors.js';
export { flowLikelihood, type FlowLikelihood, type FlowLikelihoodOptions } from './estimation/flow/flow-likelihood.js';
export {
  estimateLikelihood,
  likelihoodSamplerNames,
  type LikelihoodOptions,
  type LikelihoodSampler,
} from './estimation/likelihood/estimate.js';
export type { BitsEstimate, Likelihood } from './estimation/likelihood/summary.js';
export { readSafetensorsHeader, type SafetensorsHeader, type TensorEntry } from './files/safetensors.js';
export { readFloats, writeSafetensors, type HostTensor } from './files/tensor-data.js';
export { Classifier, type ClassifierGuideOptions, type ClassifierLoadOptions } from './guidance/classifier.js';
export { guidedRows, takesUnconditionalLabel, type GuidedRowsOptions } from './guidance/classifier-free.js';
export {
  DiffusionModel,
  type AnySampleOptions,
  type LoadOptions,
  type SampleOptions,
  type SchedulerSampleOptions,
} from './model.js';
export { linear, stepProgram, stepRecord, type StepProgramOptions } from './program/builder.js';
export type { HostContext, Reduction, Term } from './program/host-context.js';
export { RECORD_BYTES, packRecords } from './program/pack.js';
export type { HostProgram, Program, ProgramHead, StepProgram } from './program/program.js';
export {
  Autoencoder,
  type AutoencoderCallOptions,
  type AutoencoderSize,
  type EncodedImages,
} from './latents/autoencoder.js';
export { DiffusionPrior, type PriorForwardOptions } from './latents/prior.js';
export { ConditionalUNet, type ConditionalUNetLoadOptions, type ControlFacts } from './latents/conditional-unet.js';
export type { ControlOptions } from './latents/control-options.js';
export type { ConditionalForwardOptions, ConditionalSize, ControlUse } from './latents/conditional-options.js';
export { PreparedContext } from './latents/prepared-context.js';
export { PreparedControl } from './latents/prepared-control.js';
export {
  ClipTextEncoder,
  type EncodedText,
  type EncodeTextOptions,
  type TextEncoderSize,
} from './latents/text-encoder.js';
export { TextToImage, type Generated, type GeneratedImage } from './text-to-image.js';
export { isPipeline } from './latents/recognise-pipeline.js';
export { PromptBatcher, type PromptBatcherStats } from './latents/batcher/prompt-batcher.js';
export type { PromptBatcherOptions, PromptRequest, PromptServiceOptions } from './latents/batcher/options.js';
export type { EmbeddingOptions } from './latents/added-tokens.js';
export type { Inverted, InvertOptions } from './latents/inversion.js';
export type { GenerateOptions, LongPrompts, PromptOptions } from './latents/generate-options.js';
export type { LatentNetwork } from './latents/latent-network.js';
export type { EncodedPrompt } from './latents/prompts.js';
export type { LatentFileOptions, LatentNetworkOptions } from './latents/load-options.js';
export type { LoraOptions } from './latents/loras.js';
export type { KeptParts, TextToImageLoadOptions } from './latents/load-pipeline.js';
export { ClipTokenizer, type TokenizedText } from './text/tokenizer.js';
export { Trainer } from './training/trainer.js';
export {
  learnedPredictions,
  levelSamplings,
  type LearnedPrediction,
  type LevelSampling,
  type SavedCheckpoint,
  type TrainerOptions,
  type TrainingOptions,
} from './training/options.js';
export type { TrainingMemory } from './training/memory.js';
export type { StepMetrics } from './training/metrics.js';
export {
  averageSchedules,
  rateSchedules,
  type AverageOptions,
  type AverageSchedule,
  type RateOptions,
  type RateSchedule,
} from './training/rates.js';
export type { DamagedCheckpoint } from './training/run-folder/run-folder.js';
export { openImages, type OpenedImages } from './training/data/open-images.js';
export type { OpenImagesOptions } from './training/data/options.js';
export { translate } from './translation/translate.js';
export type { TranslateOptions, TranslationMethod, TranslationNoise } from './translation/options.js';
export { compareImages, type ImageComparison } from './images/compare.js';
export type { Similarity } from './translation/similarity.js';
export type { GuideForm } from './guidance/guided-program.js';
export {
  MAX_HISTORY,
  type Clip,
  type GuideUpdate,
  type LinearUpdate,
  type RecordVariance,
  type StepRecord,
} from './program/record.js';
export type { Correction, ModelOutput, ScriptModel } from './run/evaluator.js';
export type { GuidanceOptions } from './guidance/classifier-free.js';
export type { NoiseOption } from './run/noise-source.js';
export type { RunResult } from './run/network-run.js';
export type { Constraint, ConstraintPlace, Guide } from './guidance/guide.js';
export { imageFormats, type ImageFormat, type PreviewPlace, type RunOptions } from './run/options.js';
export type { StreamedImage } from './run/stream.js';
export { runProgram, type RunProgramOptions } from './run/run-program.js';
export type { Refusals } from './batch/admission.js';
export { Batcher, type BatcherStats, type BatchForwardOptions } from './batch/batcher.js';
export type { BatcherCapacity } from './batch/open-batches.js';
export type { SampleTrace } from './batch/traced.js';
export type { Curve } from './batch/calibrate.js';
export { connectBatcher, type RemoteBatcher } from './batch/connect.js';
export { exposeBatcher } from './batch/expose.js';
export { createBatcher, type ScriptBatcherOptions } from './batch/create-batcher.js';
export { ReplicatedBatcher, type BatchableModel, type BatchService } from './batch/replicas.js';
export type { BatchEvaluate } from './run/script-network.js';
export type { BatchEvent } from './batch/events.js';
export {
  previewKinds,
  priorities,
  serviceOrders,
  type BatcherOptions,
  type BatchRequest,
  type BatchRunOptions,
  type PreviewOf,
  type Priority,
  type SchedulerBatchRequest,
  type ServiceOptions,
  type ServiceOrder,
} from './batch/options.js';
export { compileTask, type Compiled, type CompileElsewhere, type CompileTask } from './samplers/compile.js';
export type { ScheduleRecipe } from './schedule/recipe.js';
export { DEFAULT_STEPS } from './samplers/common-options.js';
export { samplerNames, samplers, type OptionsOfSampler, type SamplerName } from './samplers/index.js';
export type { ReverseFamily, ReverseSampler } from './samplers/numerics/reverse-step.js';
export type { SolverFacts } from './samplers/sampler.js';
export type { Option, OptionTexts } from './samplers/option.js';
export type { ImageSize } from './checkpoint/image-size.js';
export type { ClipOption, DynamicClipOption, SamplerOptionName, SamplerOptions } from './samplers/options.js';
export type { OptionTable, OptionsOf, Sampler, SamplerFacts } from './samplers/sampler.js';
export type { SchedulerRun } from './samplers/scheduler/run.js';
export { schedulerRun } from './samplers/scheduler/scheduler.js';
export type { Prediction, ScheduleDefaults } from './schedule/defaults.js';
export { jump, type Jump } from './schedule/jump.js';
export { networkTimeNames, type NetworkTime } from './schedule/network-time.js';
export type { Amplitudes, GivenLevel } from './schedule/noise-level.js';
export { NoiseSchedule } from './schedule/noise-schedule.js';
export type { SchedulerFile } from './schedule/schedule-parts.js';
export { optimalTrajectory, type JumpCosts } from './schedule/optimal-trajectory.js';
export type { Combination } from './schedule/prediction.js';
export type {
  BetaScheduleOptions,
  CosineScheduleOptions,
  EdmScheduleOptions,
  NoiseOnlyScheduleOptions,
  RateScheduleOptions,
  ScheduleOptions,
  SdeScheduleOptions,
} from './schedule/schedule-options.js';
export type { SchedulerClassName } from './schedule/scheduler-classes.js';
export type { Spacing } from './schedule/spacing.js';
export {
  continuousGrid,
  discreteTransitions,
  type Trajectory,
  type TrajectoryOptions,
  type Transition,
} from './schedule/trajectory.js';
export { analyticVariance, analyticVarianceBounds, lastNoiseDeviation } from './variance/reverse-variance.js';
export { readErrorTable, writeErrorTable, type ErrorTable } from './variance/error-table.js';
export { fixedVarianceCosts, type FixedVariance } from './variance/costs.js';
export { readGammaTable, writeGammaTable, type GammaTable } from './variance/gamma.js';
export { analyticCosts } from './variance/costs.js';
