// The engine's intermediate representation of a network: nodes over values, in topological order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "core/dtype.h"
#include "graph/node.h"

namespace dpm::graph {

/// A weight: in host memory of another owner, or, without `data`, read when it is loaded.
struct Constant {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> dims;
  std::string name;
  /// Layout of the elements where it is not row-major (dpm_constant).
  std::vector<std::int64_t> view_dims = {};
  std::vector<std::int64_t> view_strides = {};
  /// Writes to `to` the `bytes` bytes that `data` would point to; may throw.
  std::function<void(void* to)> read = {};
  std::uint64_t bytes = 0;
  /// Constants of the same number have the same elements, so that devices pack them once; 0: not yet known.
  std::uint64_t identity = 0;
  /// Place among the parameters of a training run, whose networks' weights move.
  dpm_parameter parameter = {};

  [[nodiscard]] bool moves() const { return parameter.kind != DPM_PARAMETER_NONE; }
  [[nodiscard]] std::int64_t elements() const;
};

/// Returns a number that no constant has yet. The number after it is that of the constant transposed.
std::uint64_t new_identity();

struct Value {
  int channels = 0;
  int height = 0;
  int width = 0;
  /// Index of the value of whose channels this one is a range, or -1.
  int parent = -1;
  int channel_offset = 0;
  /// Index in the graph's bindings, or -1.
  int binding = -1;
  dpm_varies varies = DPM_VARIES_ROW;

  [[nodiscard]] bool is_bound() const { return binding >= 0; }
  [[nodiscard]] bool is_shared() const { return varies == DPM_VARIES_SHARED; }
  [[nodiscard]] bool is_of_groups() const { return varies == DPM_VARIES_GROUP; }
  [[nodiscard]] std::uint64_t elements() const {
    return static_cast<std::uint64_t>(channels) * static_cast<std::uint64_t>(height) *
           static_cast<std::uint64_t>(width);
  }
  [[nodiscard]] bool same_shape(const Value& other) const {
    return channels == other.channels && height == other.height && width == other.width;
  }
};

/// A value that is a tensor of the caller.
struct Binding {
  std::string name;
  dpm_direction direction = DPM_DIRECTION_INPUT;
  dpm_element element = DPM_ELEMENT_F32;
  int value = -1;
};

struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<Constant> constants;
  std::vector<Binding> bindings;

  /// Adds a network input; labels are int32, everything else is float32. Throws Error(kTensorShape) when it is empty or
  /// too large to count.
  int add_input(const std::string& name, int channels, int height, int width);
  /// Adds `node`, infers its outputs' shapes and returns the first. Throws Error(kTensorShape) on a mismatch.
  int add(Node node);
  /// Makes `value`, the result of a node, the network's output `name`.
  void bind_output(int value, const std::string& name);
  /// Adds a constant; one that has no identity is like no other.
  int add_constant(Constant constant);

  /// The value whose storage `value` uses.
  [[nodiscard]] int root(int value) const;
  /// Index of the binding called `name`, -1 where there is none.
  [[nodiscard]] int find_binding(std::string_view name) const;
};

/// Computes the shapes of a node's outputs. Throws Error(kTensorShape) naming the node when its inputs or weights do
/// not fit.
std::vector<Value> infer_shapes(const Graph& graph, const Node& node);

/// Returns whether all extents and counts of elements are above zero and small enough to count.
bool has_valid_extents(const Value& value);

/// Multiply-adds of one node for one sample (convolutions and attention; 0 for the rest).
std::uint64_t multiply_adds(const Graph& graph, const Node& node);

}  // namespace dpm::graph
