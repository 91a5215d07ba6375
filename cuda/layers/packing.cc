// The packing of a network's weights, which its device's other networks share.
#include "backend/constant.h"
#include "backend/node.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

/// Ways of packing. Constants that are packed in the same way, for the same shape, have the same numbers on a device.
enum class WeightOrder : std::uint8_t { kVectors, kProducts, kSplitProducts, kTable, kPositions };

std::uint64_t number(WeightOrder order) { return static_cast<std::uint64_t>(order); }

std::vector<float> floats_of(const dpm_constant& constant) {
  const ConstantElements elements(constant);
  return {elements.floats(), elements.floats() + elements.size()};
}

}  // namespace

Packed LayerFactory::vectors(const std::int32_t* constants, std::uint32_t count, std::size_t length) const {
  return device.weights.get({number(WeightOrder::kVectors), length}, graph, constants, count, [&] {
    std::vector<float> values;
    for (std::uint32_t part = 0; part < count; ++part) {
      const std::vector<float> more = floats_of(graph.constants[constants[part]]);
      values.insert(values.end(), more.begin(), more.end());
    }
    values.resize(length, 0.0F);
    return floats(values);
  });
}

Packed LayerFactory::weights(const dpm_node& node, const PackedShape& shape, bool split) const {
  const WeightOrder order = split ? WeightOrder::kSplitProducts : WeightOrder::kProducts;
  const auto rows = static_cast<std::uint64_t>(shape.out_channels);
  const auto columns = static_cast<std::uint64_t>(shape.in_channels);
  return device.weights.get({number(order), rows, columns}, graph, node.weights, node.weight_count, [&] {
    std::vector<float> packed = pack_weights(graph, node, shape);
    const int channels = value(input_of(node, 0)).shape.channels;
    if (split) packed = split_weights(packed, channels, shape.in_channels, device.settings.dtype);
    return stored(packed);
  });
}

Packed LayerFactory::table(const dpm_node& node) const {
  return device.weights.get({number(WeightOrder::kTable)}, graph, node.weights, 1,
                            [&] { return stored(floats_of(graph.constants[node.weights[0]])); });
}

Packed LayerFactory::positions(const dpm_node& node) const {
  return device.weights.get({number(WeightOrder::kPositions)}, graph, node.biases, 1, [&] {
    const ConstantElements elements(graph.constants[node.biases[0]]);
    const auto channels = static_cast<std::size_t>(value(output_of(node)).shape.channels);
    const std::size_t pixels = elements.size() / channels;
    std::vector<float> table(elements.size());
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t p = 0; p < pixels; ++p) table[p * channels + c] = elements[c * pixels + p];
    }
    return floats(table);
  });
}

}  // namespace dpm::cuda
