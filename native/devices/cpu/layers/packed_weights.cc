#include "devices/cpu/layers/packed_weights.h"

#include "backend/constant.h"
#include "core/dtype.h"
#include "devices/cpu/layers/weight_parts.h"

namespace dpm::cpu {

namespace {

int kernel_size_of(const dpm_node& node) {
  const int kernel = convolution_of(node).kernel;
  return kernel * kernel;
}

void copy_kernel(const float* kernel, int count, float* taps) { std::copy_n(kernel, count, taps); }

}  // namespace

PackedWeights::PackedWeights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels)
    : PackedWeights(factory, node, in_channels, out_channels, {kernel_size_of(node), copy_kernel}) {}

PackedWeights::PackedWeights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels,
                             const Transform& transform)
    : in_channels_(in_channels),
      kernel_size_(kernel_size_of(node)),
      transform_(transform),
      out_channels_(out_channels),
      width_(factory.device.isa.width) {
  const auto column = static_cast<std::size_t>(transform.taps) * static_cast<std::size_t>(in_channels);
  std::size_t total = 0;
  for (int first = 0; first < out_channels; first += 2 * width_) {
    offsets_.push_back(total);
    total += column * static_cast<std::size_t>(out_channels - first > width_ ? 2 * width_ : width_);
  }
  data_ = CountedBuffer(factory.device.memory, total * sizeof(float));
  std::fill_n(data_.floats(), total, 0.0F);
  for_weights(factory.graph, node, [this](const dpm_constant& weight, int first) { pack(weight, first); });
}

void PackedWeights::pack(const dpm_constant& weight, int channel) {
  const auto inputs = static_cast<std::size_t>(in_channels_);
  const auto taps = static_cast<std::size_t>(transform_.taps);
  const ConstantElements elements(weight);
  std::vector<float> kernel(static_cast<std::size_t>(kernel_size_));
  std::vector<float> packed(taps);
  std::size_t source = 0;
  for (std::int64_t out = 0; out < weight.dims[0]; ++out, ++channel) {
    const int index = channel / (2 * width_);
    const Panel target = panel(index);
    float* column = data_.floats() + offsets_[static_cast<std::size_t>(index)] + (channel - target.first);
    const std::size_t row = static_cast<std::size_t>(target.vectors) * static_cast<std::size_t>(width_);
    for (std::size_t in = 0; in < inputs; ++in) {
      for (float& value : kernel) value = elements[source++];
      transform_.apply(kernel.data(), kernel_size_, packed.data());
      for (std::size_t tap = 0; tap < taps; ++tap) column[(tap * inputs + in) * row] = packed[tap];
    }
  }
}

PackedWeights::Panel PackedWeights::panel(int index) const {
  const int first = index * 2 * width_;
  const int columns = std::min(out_channels_ - first, 2 * width_);
  return {data_.floats() + offsets_[static_cast<std::size_t>(index)], first, columns, columns > width_ ? 2 : 1};
}

}  // namespace dpm::cpu
