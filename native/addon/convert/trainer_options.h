// Options and steps of trainers, read from JavaScript.
#pragma once

#include <napi.h>

#include "training/trainer.h"

namespace dpm::addon {

/// Reads the options of `loadTrainer` that are not a network's; their ranges are checked when it is loaded. Throws
/// Error(kArgument).
training::TrainerOptions to_trainer_options(const Napi::Object& object);
/// Copies the images, labels and texts of `loadTrainer`.
training::Dataset to_dataset(const Napi::Object& object);
/// Reads the request of `run`, without its receivers. Throws Error(kArgument).
training::TrainingSteps to_training_steps(const Napi::Object& object);
/// Reads the name of a tensor.
ParameterTensor to_parameter_tensor(const Napi::Value& value);

}  // namespace dpm::addon
