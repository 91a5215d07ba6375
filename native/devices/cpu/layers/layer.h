// The layer: a node of the graph prepared to run on the CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/node.h"
#include "devices/cpu/device.h"
#include "devices/cpu/layers/deferred_norm.h"
#include "devices/cpu/layers/packing.h"

namespace dpm::cpu {

/// The layout of a map's elements: element (n, p, c), p = y*width + x, is at data + n*sample_stride + p*pixel_stride +
/// c*channel_stride.
struct MapView {
  float* data = nullptr;
  std::ptrdiff_t sample_stride = 0;
  std::ptrdiff_t pixel_stride = 0;
  std::ptrdiff_t channel_stride = 1;
  int channels = 0;
  int height = 0;
  int width = 0;
  /// Number of the map that each sample reads; null: sample n has map n.
  const std::uint32_t* groups = nullptr;

  [[nodiscard]] int pixels() const { return height * width; }
  [[nodiscard]] float* sample(int n) const {
    return data + (groups == nullptr ? n : static_cast<std::ptrdiff_t>(groups[n])) * sample_stride;
  }
};

/// Properties of a graph's value that layers keep after the graph is gone.
struct ValueInfo {
  dpm_value shape{};
  int root = -1;          ///< value whose storage is used
  int root_channels = 0;  ///< number of channels of the root
  int root_offset = 0;    ///< first channel in the root
};

/// An evaluation in progress, or some rows of it on one thread with memory of its own.
struct RunContext {
  Device& device;
  ThreadPool& pool;
  int first_row = 0;  ///< first row in the tensors of the evaluation
  int batch = 0;      ///< number of rows from there on
  const std::vector<ValueInfo>& values;
  const std::vector<std::uint64_t>& offsets;  ///< offset per value, in elements for one sample
  int planned_batch = 0;
  float* arena = nullptr;
  const dpm_bindings& bindings;
  float* scratch = nullptr;
  float* norm_coefficients = nullptr;  ///< coefficients of the last deferred group norm, per sample a[C], b[C]

  /// Returns whether the reader of `norm` applies it in this plan of the arena.
  [[nodiscard]] bool defers(const DeferredNorm& norm) const {
    return norm.input_lives ||
           (offsets[static_cast<std::size_t>(norm.input)] == offsets[static_cast<std::size_t>(norm.output)] &&
            values[static_cast<std::size_t>(norm.input)].root == norm.input);
  }
  [[nodiscard]] MapView map(int value) const;
  /// The tensor of a binding from first_row on, null where it is absent.
  [[nodiscard]] const void* bound(int binding) const;
  /// The groups of the rows from first_row on, null where row n is group n.
  [[nodiscard]] const std::uint32_t* groups() const;
};

class Layer {
 public:
  Layer() = default;
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  virtual void run(const RunContext& context) const = 0;
  /// Number of floats of scratch memory that `run` needs for `batch` samples on `threads` threads.
  [[nodiscard]] virtual std::size_t scratch(int /*batch*/, int /*threads*/) const { return 0; }
};

/// Inputs for making layers: the device, the graph and the weights' memory.
struct LayerFactory {
  Device& device;
  const dpm_graph& graph;
  const std::vector<ValueInfo>& values;
  const std::vector<bool>& winograd;  ///< result of choose_winograd, per node
  /// Group norms that are applied by their readers.
  const std::vector<DeferredNorm>& deferred_norms;
  Packing& packing;

  /// Returns the deferred norm whose result is `value`, or null.
  [[nodiscard]] const DeferredNorm* deferred_norm(int value) const {
    for (const DeferredNorm& norm : deferred_norms) {
      if (norm.output == value) return &norm;
    }
    return nullptr;
  }

  [[nodiscard]] bool by_winograd(const dpm_node& node) const {
    return winograd[static_cast<std::size_t>(&node - graph.nodes)];
  }
};

std::unique_ptr<Layer> make_convolution(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_group_norm(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_attention(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_layer_norm(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_geglu(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_dropout(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_channelwise(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_resample(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_fir(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_separable(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_activation_backward(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_norm_derivative(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_attention_derivative(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_embedding(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_convolution_weights(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_row_sum(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_norm_vector(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_square_score(const LayerFactory& factory, const dpm_node& node);

/// Makes the layer of `node`. Throws Error(kUnsupported).
std::unique_ptr<Layer> make_layer(const LayerFactory& factory, const dpm_node& node);

/// Returns whether make_layer can make the layer of `node`.
bool supports(const dpm_graph& graph, const dpm_node& node);

/// A range of rows [first, last): part `index` of `total` rows cut into `parts` nearly equal parts.
struct Range {
  int first;
  int last;
};
inline Range part_of(int total, int parts, int index) {
  const auto at = [&](int i) { return static_cast<int>(static_cast<std::int64_t>(total) * i / parts); };
  return {at(index), at(index + 1)};
}

inline int divide_up(int a, int b) { return (a + b - 1) / b; }

/// Calls `body(first, count)` for nearly equal parts of a range, of `most` at most: a tile of few rows is a slow one.
template <typename Body>
void for_even_parts(Range range, int most, const Body& body) {
  const int total = range.last - range.first;
  const int parts = divide_up(total, most);
  for (int index = 0; index < parts; ++index) {
    const Range part = part_of(total, parts, index);
    body(range.first + part.first, part.last - part.first);
  }
}

}  // namespace dpm::cpu
