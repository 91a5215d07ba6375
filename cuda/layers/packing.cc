// The packing of a network's weights, which its device's other networks share.
#include <algorithm>
#include <span>

#include "backend/constant.h"
#include "backend/node.h"
#include "core/error.h"
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

int count_of(const dpm_constant& constant) { return static_cast<int>(element_count(constant)); }

/// Returns whether constants move. Throws Error(kUnsupported) where some of them move and others stay.
bool all_move(const dpm_graph& graph, std::span<const std::int32_t> constants) {
  const auto moving = std::ranges::count_if(constants, [&](int constant) { return moves(graph.constants[constant]); });
  if (moving != 0 && moving != std::ssize(constants)) {
    throw Error(ErrorCode::kUnsupported, "a layer has weights that move and others that stay");
  }
  return moving != 0;
}

/// Packs constants, or finds them packed; notes those that move, each with its part.
template <typename Pack, typename PartOf>
Packed packed(const LayerFactory& factory, const std::vector<std::uint64_t>& order,
              std::span<const std::int32_t> constants, DType dtype, const Pack& pack, const PartOf& part_of) {
  const auto count = static_cast<std::uint32_t>(constants.size());
  auto weights = factory.device.weights.get(order, factory.graph, constants.data(), count, pack);
  if (!all_move(factory.graph, constants)) return weights;
  const auto is_known = [&](const MovingWeights& known) { return known.packed == weights; };
  if (std::ranges::any_of(factory.moving, is_known)) return weights;
  MovingWeights moving{weights, dtype, {}};
  for (const std::int32_t constant : constants) moving.parts.push_back(part_of(factory.graph.constants[constant]));
  factory.moving.push_back(std::move(moving));
  return weights;
}

}  // namespace

Packed LayerFactory::vectors(const std::int32_t* constants, std::uint32_t count, std::size_t length) const {
  const std::span<const std::int32_t> all(constants, count);
  const auto pack = [&] {
    std::vector<float> values;
    for (const std::int32_t part : all) {
      const std::vector<float> more = floats_of(graph.constants[part]);
      values.insert(values.end(), more.begin(), more.end());
    }
    values.resize(length, 0.0F);
    return floats(values);
  };
  return packed(*this, {number(WeightOrder::kVectors), length}, all, DType::kFloat32, pack,
                [](const dpm_constant& vector) {
                  return PackedPart{.parameter = vector.parameter, .outputs = count_of(vector)};
                });
}

Packed LayerFactory::weights(const dpm_node& node, const PackedShape& shape, bool split) const {
  const WeightOrder order = split ? WeightOrder::kSplitProducts : WeightOrder::kProducts;
  const auto rows = static_cast<std::uint64_t>(shape.out_channels);
  const auto columns = static_cast<std::uint64_t>(shape.in_channels);
  const DType dtype = device.settings.dtype;
  const auto pack = [&] {
    std::vector<float> all = pack_weights(graph, node, shape);
    if (split) all = split_weights(all, value(input_of(node, 0)).shape.channels, shape.in_channels, dtype);
    return stored(all);
  };
  return packed(*this, {number(order), rows, columns}, {node.weights, node.weight_count}, dtype, pack,
                [&](const dpm_constant& weight) {
                  const auto outputs = static_cast<int>(weight.dims[0]);
                  const auto inputs = static_cast<int>(weight.dims[1]);
                  return PackedPart{weight.parameter,  outputs, inputs, count_of(weight) / outputs / inputs,
                                    shape.in_channels, split};
                });
}

Packed LayerFactory::table(const dpm_node& node) const {
  const auto pack = [&] { return stored(floats_of(graph.constants[node.weights[0]])); };
  return packed(
      *this, {number(WeightOrder::kTable)}, {node.weights, 1}, device.settings.dtype, pack,
      [](const dpm_constant& table) { return PackedPart{.parameter = table.parameter, .outputs = count_of(table)}; });
}

Packed LayerFactory::positions(const dpm_node& node) const {
  const int channels = value(output_of(node)).shape.channels;
  const auto pack = [&] {
    const ConstantElements elements(graph.constants[node.biases[0]]);
    const auto columns = static_cast<std::size_t>(channels);
    const std::size_t pixels = elements.size() / columns;
    std::vector<float> table(elements.size());
    for (std::size_t c = 0; c < columns; ++c) {
      for (std::size_t p = 0; p < pixels; ++p) table[p * columns + c] = elements[c * pixels + p];
    }
    return floats(table);
  };
  return packed(*this, {number(WeightOrder::kPositions)}, {node.biases, 1}, DType::kFloat32, pack,
                [&](const dpm_constant& table) {
                  return PackedPart{table.parameter, 1, channels, count_of(table) / channels, channels, false};
                });
}

}  // namespace dpm::cuda
