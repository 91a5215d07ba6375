#include "devices/cpu/layers/bf16_weights.h"

#include <array>
#include <cstring>

#include "core/dtype.h"
#include "devices/cpu/bf16/round_together.h"

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
  // The object may be gone when weights that move are packed again, but not the device.
  const auto pack_all = [shape = *this, panel_bytes, &pool = factory.device.pool](
                            std::span<const WeightElements> weights, float* to) {
    const std::vector<WeightRow> rows = rows_of(weights);
    pool.parallel_for(shape.panels_, [&](std::int64_t index, int /*thread*/) {
      std::uint16_t* panel =
          reinterpret_cast<std::uint16_t*>(to) + static_cast<std::size_t>(index) * shape.panel_elements_;
      std::memset(panel, 0, panel_bytes);
      const std::size_t first = static_cast<std::size_t>(index) * kBf16Columns;
      const std::size_t columns = std::min(std::size_t{kBf16Columns}, rows.size() - first);
      for (std::size_t column = 0; column < columns; ++column) shape.pack(rows[first + column], column, panel);
    });
  };
  data_ = factory.packing.get(WeightOrder::kBf16, node.weights, node.weight_count, bytes, pack_all);
}

void Bf16Weights::pack(const WeightRow& row, std::size_t column, std::uint16_t* panel) const {
  constexpr std::size_t kTile = std::size_t{kBf16Columns} * kBf16Depth;
  std::array<std::uint16_t, kMostTaps> rounded{};
  const bool together = terms_ == 1 && taps_ > 1 && taps_ <= kMostTaps;
  std::array<float, kMostTaps> copy{};
  for (int in = 0; in < in_channels_; ++in) {
    const auto depth = static_cast<std::size_t>(in % kBf16Depth);
    const std::size_t place = (column / 16 * 16 + depth / 2) * 32 + column % 16 * 2 + depth % 2;
    const float* kernel = row.kernel(in);
    if (together) {
      for (int tap = 0; tap < taps_; ++tap) copy[tap] = kernel[tap * row.tap_stride];
      round_together(copy.data(), taps_, rounded.data());
    }
    for (int tap = 0; tap < taps_; ++tap) {
      float rest = kernel[tap * row.tap_stride];
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
