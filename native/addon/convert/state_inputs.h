// Work on device tensors, read from JavaScript: a fused update, a reduction.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "engine/device.h"

namespace dpm::addon {

/// The arguments of `update`, with the memory that they refer to.
struct UpdateInputs {
  std::vector<dpm_record> records;
  std::vector<dpm_update_sample> samples;
  std::vector<std::shared_ptr<Buffer>> tensors;
  dpm_update update{};
};

/// Reads the arguments batch, elements, records, registers, streams. Throws Error(kArgument).
UpdateInputs to_update_inputs(const Napi::CallbackInfo& info, const Device& device);

/// The arguments of `reduce`, with the memory that they refer to.
struct ReduceInputs {
  std::vector<std::shared_ptr<Buffer>> tensors;
  std::vector<double> results;
  dpm_reduce reduce{};
};

/// Reads the arguments kind, batch, elements, a, b. Throws Error(kArgument).
ReduceInputs to_reduce_inputs(const Napi::CallbackInfo& info, const Device& device);

}  // namespace dpm::addon
