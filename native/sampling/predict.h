// One prediction of a batch, by the loop's own step, for a sampler that decides while it runs.
#pragma once

#include <memory>
#include <vector>

#include "engine/network.h"

namespace dpm {

struct PredictInputs {
  std::vector<float> times;          ///< one time per sample
  std::vector<std::int32_t> labels;  ///< one label per sample; -1: none
  std::vector<float> guidance;       ///< one weight per sample; empty: none
  std::int32_t unconditional_label = -1;
  std::shared_ptr<Buffer> x;     ///< [samples][image]
  std::shared_ptr<Buffer> out;   ///< [samples][image], receives the prediction
  std::shared_ptr<Buffer> head;  ///< [samples][image], receives the second output or the learned range; may be null
};

/// Predicts, with classifier-free guidance for samples that have a weight. Throws Error(kArgument) when a second output
/// is asked of a network that has none.
void predict(Network& network, const PredictInputs& request);

}  // namespace dpm
