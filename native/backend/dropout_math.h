// Which elements a dropout keeps (Srivastava et al. 2014): the same of every device, and of a derivative the same
// again.
#pragma once

#include "backend/operations.h"
#include "core/philox.h"

namespace dpm {

/// A dropout as devices compute it.
struct Dropout {
  float scale = 1;              ///< factor of what is kept
  std::uint32_t threshold = 0;  ///< least word of what is kept
  std::uint32_t draw = 0;
  std::uint32_t seed_low = 0;
  std::uint32_t seed_high = 0;
};

inline Dropout dropout_of(const dpm_dropout_attributes& attributes) {
  const auto rate = static_cast<double>(attributes.rate);
  return {static_cast<float>(1 / (1 - rate)), static_cast<std::uint32_t>(rate * 0x1p32), attributes.draw,
          attributes.seed_low, attributes.seed_high};
}

/// Bytes of a sample's step, the lowest first, and as many of its slot: the channels of the second operand, which every
/// storage type has exactly.
constexpr int kDropoutBytes = 8;

/// A sample's place in a training run.
struct DropoutSample {
  std::uint32_t step;
  std::uint32_t slot;
};

/// Reads a sample's place by `byte(i)`, the i-th channel of the second operand.
template <typename Byte>
DPM_HOST_DEVICE DropoutSample dropout_sample(const Byte& byte) {
  DropoutSample sample{0, 0};
  for (int i = 0; i < 4; ++i) {
    sample.step |= static_cast<std::uint32_t>(byte(i)) << (8 * i);
    sample.slot |= static_cast<std::uint32_t>(byte(4 + i)) << (8 * i);
  }
  return sample;
}

/// Draws the words of elements 4 `group` to 4 `group` + 3 of a sample's map, in row-major order.
DPM_HOST_DEVICE PhiloxWords dropout_words(const Dropout& dropout, const DropoutSample& sample, std::uint32_t group) {
  return philox4x32(group, sample.step, sample.slot, dropout.draw, dropout.seed_low, dropout.seed_high);
}

/// Returns the factor of an element whose word this is.
DPM_HOST_DEVICE float dropout_factor(const Dropout& dropout, std::uint32_t word) {
  return word >= dropout.threshold ? dropout.scale : 0.0F;
}

}  // namespace dpm
