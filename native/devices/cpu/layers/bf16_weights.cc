#include "devices/cpu/layers/bf16_weights.h"

#include <array>
#include <cstring>

#include "backend/constant.h"
#include "core/dtype.h"
#include "devices/cpu/bf16/round_together.h"
#include "devices/cpu/layers/weight_parts.h"

namespace dpm::cpu {

Bf16Weights::Bf16Weights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels,
                         int terms)
    : in_channels_(in_channels),
      taps_(convolution_of(node).kernel * convolution_of(node).kernel),
      terms_(terms),
      panels_(divide_up(out_channels, kBf16Columns)) {
  const int blocks = divide_up(in_channels, kBf16Depth);
  panel_elements_ = std::size_t{kBf16Columns} * kBf16Depth * static_cast<std::size_t>(blocks * taps_ * terms);
  const std::size_t bytes = panel_elements_ * static_cast<std::size_t>(panels_) * sizeof(std::uint16_t);
  data_ = CountedBuffer(factory.device.memory, bytes);
  std::memset(data_.data(), 0, bytes);
  for_weights(factory.graph, node, [this](const dpm_constant& weight, int first) { pack(weight, first); });
}

void Bf16Weights::pack(const dpm_constant& weight, int channel) {
  constexpr std::size_t kTile = std::size_t{kBf16Columns} * kBf16Depth;
  const ConstantElements elements(weight);
  auto* packed = static_cast<std::uint16_t*>(data_.data());
  std::size_t source = 0;
  std::array<float, kMostTaps> taps{};
  std::array<std::uint16_t, kMostTaps> rounded{};
  const bool together = terms_ == 1 && taps_ > 1 && taps_ <= kMostTaps;
  for (std::int64_t out = 0; out < weight.dims[0]; ++out, ++channel) {
    const auto column = static_cast<std::size_t>(channel % kBf16Columns);
    std::uint16_t* panel = packed + static_cast<std::size_t>(channel / kBf16Columns) * panel_elements_;
    for (int in = 0; in < in_channels_; ++in) {
      const auto row = static_cast<std::size_t>(in % kBf16Depth);
      const std::size_t place = (column / 16 * 16 + row / 2) * 32 + column % 16 * 2 + row % 2;
      if (together) {
        for (int tap = 0; tap < taps_; ++tap) taps[tap] = elements[source + static_cast<std::size_t>(tap)];
        round_together(taps.data(), taps_, rounded.data());
      }
      for (int tap = 0; tap < taps_; ++tap) {
        float rest = elements[source++];
        const auto first = static_cast<std::size_t>(in / kBf16Depth * taps_ + tap) * static_cast<std::size_t>(terms_);
        for (int term = 0; term < terms_; ++term) {
          const std::uint16_t bits = together ? rounded[tap] : float_to_bfloat16(rest);
          panel[(first + static_cast<std::size_t>(term)) * kTile + place] = bits;
          rest -= bfloat16_to_float(bits);
        }
      }
    }
  }
}

}  // namespace dpm::cpu
