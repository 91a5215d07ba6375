#include "devices/cpu/layers/bf16_weights.h"

#include <array>
#include <cstring>

#include "core/dtype.h"
#include "devices/cpu/bf16/round_together.h"
#include "devices/cpu/layers/node_weights.h"

namespace dpm::cpu {

Bf16Weights::Bf16Weights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels,
                         int terms)
    : in_channels_(in_channels),
      taps_(convolution_of(node).kernel * convolution_of(node).kernel),
      terms_(terms),
      panels_(divide_up(out_channels, kBf16Columns)) {
  const int blocks = divide_up(in_channels, kBf16Depth);
  panel_elements_ = std::size_t{kBf16Columns} * kBf16Depth * static_cast<std::size_t>(blocks * taps_ * terms);
  const std::size_t panel_bytes = panel_elements_ * sizeof(std::uint16_t);
  const std::size_t bytes = panel_bytes * static_cast<std::size_t>(panels_);
  data_ = factory.packing.get(WeightOrder::kBf16, node.weights, node.weight_count, bytes, [&](void* to) {
    const NodeWeights weights(factory.graph, node);
    factory.device.pool.parallel_for(panels_, [&](std::int64_t index, int /*thread*/) {
      std::uint16_t* panel = static_cast<std::uint16_t*>(to) + static_cast<std::size_t>(index) * panel_elements_;
      std::memset(panel, 0, panel_bytes);
      const int first = static_cast<int>(index) * kBf16Columns;
      const int columns = std::min(kBf16Columns, out_channels - first);
      const float* const* rows = weights.rows(first);
      for (int column = 0; column < columns; ++column) pack(rows[column], static_cast<std::size_t>(column), panel);
    });
  });
}

void Bf16Weights::pack(const float* kernels, std::size_t column, std::uint16_t* panel) const {
  constexpr std::size_t kTile = std::size_t{kBf16Columns} * kBf16Depth;
  std::array<std::uint16_t, kMostTaps> rounded{};
  const bool together = terms_ == 1 && taps_ > 1 && taps_ <= kMostTaps;
  for (int in = 0; in < in_channels_; ++in, kernels += taps_) {
    const auto row = static_cast<std::size_t>(in % kBf16Depth);
    const std::size_t place = (column / 16 * 16 + row / 2) * 32 + column % 16 * 2 + row % 2;
    if (together) round_together(kernels, taps_, rounded.data());
    for (int tap = 0; tap < taps_; ++tap) {
      float rest = kernels[tap];
      const auto first = static_cast<std::size_t>(in / kBf16Depth * taps_ + tap) * static_cast<std::size_t>(terms_);
      for (int term = 0; term < terms_; ++term) {
        const std::uint16_t bits = together ? rounded[tap] : float_to_bfloat16(rest);
        panel[(first + static_cast<std::size_t>(term)) * kTile + place] = bits;
        rest -= bfloat16_to_float(bits);
      }
    }
  }
}

}  // namespace dpm::cpu
