// Locations of weights, read from JavaScript.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weights/weights.h"

namespace dpm::addon {

/// Weights by file and offset; the files are opened by `open_weights`, off the JavaScript thread.
struct GivenWeights {
  std::vector<std::string> files;
  std::vector<WeightLocation> tensors;
};

/// Reads the weights that property `tensors` lists. Throws Error(kArgument).
GivenWeights to_weights(const Napi::Object& object, const char* tensors);
Weights open_weights(const GivenWeights& request, std::function<void()> check_wanted,
                     std::shared_ptr<KnownWeights> known);

}  // namespace dpm::addon
