#include "cpu/layers/packed_weights.h"

#include "core/dtype.h"

namespace dpm::cpu {

PackedWeights::PackedWeights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels)
    : out_channels_(out_channels), width_(factory.device.isa.width) {
  const std::size_t depth = static_cast<std::size_t>(node.kernel) * static_cast<std::size_t>(node.kernel) *
                            static_cast<std::size_t>(in_channels);
  std::size_t total = 0;
  for (int first = 0; first < out_channels; first += 2 * width_) {
    offsets_.push_back(total);
    const int width = out_channels - first > width_ ? 2 * width_ : width_;
    total += depth * static_cast<std::size_t>(width);
  }
  data_ = CountedBuffer(factory.device.memory, total * sizeof(float));
  std::fill_n(data_.floats(), total, 0.0F);

  const std::size_t taps = static_cast<std::size_t>(node.kernel) * static_cast<std::size_t>(node.kernel);
  int channel = 0;
  for (std::uint32_t part = 0; part < node.parts; ++part) {
    const dpm_constant& weight = factory.graph.constants[node.weights[part]];
    const auto type = static_cast<DType>(weight.dtype);
    for (std::int64_t out = 0; out < weight.dims[0]; ++out, ++channel) {
      const int index = channel / (2 * width_);
      const Panel target = panel(index);
      float* column = data_.floats() + offsets_[static_cast<std::size_t>(index)] + (channel - target.first);
      const std::size_t row = static_cast<std::size_t>(target.vectors) * static_cast<std::size_t>(width_);
      for (std::size_t in = 0; in < static_cast<std::size_t>(in_channels); ++in) {
        for (std::size_t tap = 0; tap < taps; ++tap) {
          const std::size_t source =
              (static_cast<std::size_t>(out) * static_cast<std::size_t>(in_channels) + in) * taps;
          column[(tap * static_cast<std::size_t>(in_channels) + in) * row] =
              load_as_float(weight.data, type, source + tap);
        }
      }
    }
  }
}

PackedWeights::Panel PackedWeights::panel(int index) const {
  const int first = index * 2 * width_;
  const int columns = std::min(out_channels_ - first, 2 * width_);
  return {data_.floats() + offsets_[static_cast<std::size_t>(index)], first, columns, columns > width_ ? 2 : 1};
}

}  // namespace dpm::cpu
