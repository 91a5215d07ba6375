// Work on device tensors as JavaScript asks for it: a fused update, a reduction.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "engine/device.h"

namespace dpm::addon {

/// What `update` names lies here.
struct UpdateRequest {
  std::vector<dpm_record> records;
  std::vector<dpm_update_sample> samples;
  std::vector<std::shared_ptr<Buffer>> tensors;
  dpm_update update{};
};

/// Arguments: batch, elements, records, registers, streams. Throws Error(kArgument).
UpdateRequest to_update_request(const Napi::CallbackInfo& info, const Device& device);

/// What `reduce` names lies here.
struct ReduceRequest {
  std::vector<std::shared_ptr<Buffer>> tensors;
  std::vector<double> results;
  dpm_reduce reduce{};
};

/// Arguments: kind, batch, elements, a, b. Throws Error(kArgument).
ReduceRequest to_reduce_request(const Napi::CallbackInfo& info, const Device& device);

}  // namespace dpm::addon
