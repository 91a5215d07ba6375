#include "cuda/layers/weights.h"

#include "backend/constant.h"
#include "backend/node.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

std::vector<float> pack_weights(const dpm_graph& graph, const dpm_node& node, const PackedShape& shape) {
  const auto kernel = static_cast<std::size_t>(convolution_of(node).kernel);
  const std::size_t taps = kernel * kernel;
  const auto padded = static_cast<std::size_t>(shape.in_channels);
  std::vector<float> packed(static_cast<std::size_t>(shape.out_channels) * taps * padded, 0.0F);
  float* row = packed.data();
  for (std::uint32_t part = 0; part < node.weight_count; ++part) {
    const dpm_constant& weight = graph.constants[node.weights[part]];
    const ConstantElements elements(weight);
    const auto channels = static_cast<std::size_t>(weight.dims[1]);
    for (std::size_t o = 0; o < static_cast<std::size_t>(weight.dims[0]); ++o, row += taps * padded) {
      for (std::size_t c = 0; c < channels; ++c) {
        for (std::size_t tap = 0; tap < taps; ++tap) {
          row[tap * padded + c] = elements[(o * channels + c) * taps + tap];
        }
      }
    }
  }
  return packed;
}

std::vector<float> split_weights(const std::vector<float>& packed, int channels, int padded_channels, DType dtype) {
  const auto count = static_cast<std::size_t>(channels);
  const auto padded = static_cast<std::size_t>(padded_channels);
  std::vector<float> split = packed;
  with_storage(dtype, [&](auto type) {
    for (std::size_t row = 0; row < split.size(); row += padded) {
      for (std::size_t c = 0; c < count; ++c) {
        const float weight = packed[row + c];
        split[row + count + c] = weight;
        split[row + 2 * count + c] = weight - to_float(from_float<decltype(type)>(weight));
      }
    }
  });
  return split;
}

}  // namespace dpm::cuda
