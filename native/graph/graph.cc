#include "graph/graph.h"

#include <utility>

#include "core/error.h"

namespace dpm::graph {

std::int64_t Constant::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) count *= dim;
  return count;
}

int Graph::add(Node node) {
  values.push_back(infer_shape(*this, node));
  node.output = static_cast<int>(values.size()) - 1;
  nodes.push_back(std::move(node));
  return nodes.back().output;
}

int Graph::add_constant(Constant constant) {
  constants.push_back(std::move(constant));
  return static_cast<int>(constants.size()) - 1;
}

int Graph::root(int value) const {
  while (values[value].parent >= 0) value = values[value].parent;
  return value;
}

dpm_node LoweredGraph::lower(const Node& node) {
  dpm_node out{};
  out.op = node.op;
  for (int i = 0; i < DPM_MAX_NODE_INPUTS; ++i) out.inputs[i] = node.inputs[i];
  out.output = node.output;
  out.weights = node.weights.empty() ? nullptr : node.weights.data();
  out.biases = node.biases.empty() ? nullptr : node.biases.data();
  out.parts = static_cast<std::uint32_t>(node.weights.empty() ? node.biases.size() : node.weights.size());
  out.kernel = node.kernel;
  out.stride = node.stride;
  out.pad_before = node.pad_before;
  out.pad_after = node.pad_after;
  out.upsample = node.upsample ? 1 : 0;
  out.silu = node.silu ? 1 : 0;
  out.scale = node.scale;
  out.shift = node.shift;
  out.groups = node.groups;
  out.epsilon = node.epsilon;
  out.heads = node.heads;
  out.frequency_shift = node.frequency_shift;
  out.cosine_first = node.cosine_first ? 1 : 0;
  out.logarithmic = node.logarithmic ? 1 : 0;
  return out;
}

LoweredGraph::LoweredGraph(const Graph& graph) {
  for (const Value& value : graph.values) {
    values_.push_back({value.channels, value.height, value.width, value.role, value.parent, value.channel_offset});
  }
  for (const Node& node : graph.nodes) nodes_.push_back(lower(node));
  for (const Constant& constant : graph.constants) {
    dpm_constant out{};
    out.data = constant.data;
    out.dtype = static_cast<std::uint32_t>(constant.dtype);
    out.rank = static_cast<std::uint32_t>(constant.dims.size());
    for (std::size_t i = 0; i < constant.dims.size(); ++i) out.dims[i] = constant.dims[i];
    out.view_rank = static_cast<std::uint32_t>(constant.view_dims.size());
    for (std::size_t i = 0; i < constant.view_dims.size(); ++i) {
      out.view_dims[i] = constant.view_dims[i];
      out.view_strides[i] = constant.view_strides[i];
    }
    constants_.push_back(out);
  }
  graph_ = {values_.data(),    static_cast<std::uint32_t>(values_.size()),
            nodes_.data(),     static_cast<std::uint32_t>(nodes_.size()),
            constants_.data(), static_cast<std::uint32_t>(constants_.size())};
}

}  // namespace dpm::graph
