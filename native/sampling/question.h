// A question of a batch to a function of the caller, which answers later.
#pragma once

#include <cstdint>
#include <vector>

namespace dpm {

enum class Asked {
  kPrediction,  ///< predictions of the network that the function replaces
  kGuide,       ///< gradients of guides at the inputs of the network
  kConstraint,  ///< states to continue from after a record
};

struct Question {
  Asked asked = Asked::kPrediction;
  std::vector<float> states;         ///< [rows][image]
  std::vector<float> times;          ///< one per row; empty for a constraint
  std::vector<std::int32_t> labels;  ///< one per row of a prediction where the shape has classes
  std::uint32_t sample = 0;          ///< index in its request of the first row's sample, for a guide or constraint
  std::uint32_t record = 0;          ///< number of records that the samples have completed, for a constraint
};

}  // namespace dpm
