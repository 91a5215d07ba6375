// What a batch asks a function of the caller's, which answers later.
#pragma once

#include <cstdint>
#include <vector>

namespace dpm {

enum class Asked {
  kPrediction,  ///< of the network that the function stands for
  kGuide,       ///< gradients of guides at what the network sees
  kConstraint,  ///< the states to go on from after a record
};

struct Question {
  Asked asked = Asked::kPrediction;
  std::vector<float> states;         ///< [rows][image]
  std::vector<float> times;          ///< one per row; none of a constraint
  std::vector<std::int32_t> labels;  ///< one per row of a prediction where the shape has classes
  std::uint32_t sample = 0;          ///< of a guide or constraint: the first of its request that the rows are of
  std::uint32_t record = 0;          ///< of a constraint: records that the samples have behind them
};

}  // namespace dpm
