// The engine's intermediate representation of a network: nodes over values, in topological order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/dtype.h"

namespace dpm::graph {

/// A weight in host memory; the memory belongs to somebody else.
struct Constant {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> dims;
  std::string name;
  /// How the elements lie where not row-major (dpm_constant).
  std::vector<std::int64_t> view_dims = {};
  std::vector<std::int64_t> view_strides = {};

  [[nodiscard]] std::int64_t elements() const;
};

struct Value {
  int channels = 0;
  int height = 0;
  int width = 0;
  dpm_role role = DPM_ROLE_INTERNAL;
  /// Value this one is a channel range of, or -1.
  int parent = -1;
  int channel_offset = 0;

  [[nodiscard]] std::uint64_t elements() const {
    return static_cast<std::uint64_t>(channels) * static_cast<std::uint64_t>(height) *
           static_cast<std::uint64_t>(width);
  }
  [[nodiscard]] bool same_shape(const Value& other) const {
    return channels == other.channels && height == other.height && width == other.width;
  }
};

/// See dpm_node for the meaning of the fields.
struct Node {
  dpm_op op = DPM_OP_ADD;
  std::array<int, DPM_MAX_NODE_INPUTS> inputs{-1, -1, -1};
  int output = -1;
  std::vector<int> weights;
  std::vector<int> biases;
  int kernel = 1;
  int stride = 1;
  int pad_before = 0;
  int pad_after = 0;
  bool upsample = false;
  bool silu = false;
  float scale = 1;
  float shift = 0;
  int groups = 0;
  float epsilon = 0;
  int heads = 1;
  float frequency_shift = 0;
  bool cosine_first = false;
  bool logarithmic = false;
  std::string name;
};

struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<Constant> constants;

  /// Adds a network input. Throws Error(kTensorShape) when it is empty or too large to count.
  int add_input(dpm_role role, int channels, int height, int width);
  /// Adds `node`, infers its output's shape and returns the output. Throws Error(kTensorShape) on a mismatch.
  int add(Node node);
  int add_constant(Constant constant);

  /// The value whose storage `value` uses.
  [[nodiscard]] int root(int value) const;
};

/// Shape of a node's output. Throws Error(kTensorShape) naming the node when its inputs or weights do not fit.
Value infer_shape(const Graph& graph, const Node& node);

/// Multiply-adds of one node for one sample (convolutions and attention; 0 for the rest).
std::uint64_t multiply_adds(const Graph& graph, const Node& node);

/// A graph in the form of the C ABI; refers to the graph it was made of.
class LoweredGraph {
 public:
  explicit LoweredGraph(const Graph& graph);
  [[nodiscard]] const dpm_graph& get() const { return graph_; }
  /// `node` in ABI form; valid while `node` and this object live.
  static dpm_node lower(const Node& node);

 private:
  std::vector<dpm_value> values_;
  std::vector<dpm_node> nodes_;
  std::vector<dpm_constant> constants_;
  dpm_graph graph_{};
};

}  // namespace dpm::graph
