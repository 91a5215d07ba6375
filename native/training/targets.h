// What a network is asked to predict, and how much a sample counts.
#pragma once

#include <cstdint>

#include "training/options.h"

namespace dpm::training {

/// Target c_data x0 + c_noise noise.
struct TargetCoefficients {
  double data = 0;
  double noise = 1;
};

/// @param level Noise level, from 1 on.
TargetCoefficients target_of(const TrainerOptions& options, std::uint32_t level);

/// Weight of a sample of a noise level in the loss.
double weight_of(const TrainerOptions& options, std::uint32_t level);

/// Throws Error(kArgument) naming the option that is out of range.
void check_options(const TrainerOptions& options);

}  // namespace dpm::training
