#include "graph/graph.h"

#include <atomic>
#include <utility>

#include "core/error.h"

namespace dpm::graph {

std::int64_t Constant::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) count *= dim;
  return count;
}

std::uint64_t new_identity() {
  static std::atomic<std::uint64_t> next{2};
  return next.fetch_add(2);
}

int Graph::add(Node node) {
  node.outputs.clear();
  for (const Value& value : infer_shapes(*this, node)) {
    node.outputs.push_back(static_cast<int>(values.size()));
    values.push_back(value);
  }
  nodes.push_back(std::move(node));
  return nodes.back().output();
}

int Graph::add_constant(Constant constant) {
  if (constant.identity == 0) constant.identity = new_identity();
  constants.push_back(std::move(constant));
  return static_cast<int>(constants.size()) - 1;
}

int Graph::add_input(const std::string& name, int channels, int height, int width) {
  Value value{channels, height, width};
  value.binding = static_cast<int>(bindings.size());
  if (!has_valid_extents(value)) throw Error(ErrorCode::kTensorShape, name + " is too large or empty");
  const auto index = static_cast<int>(values.size());
  values.push_back(value);
  bindings.push_back({name, DPM_DIRECTION_INPUT, name == DPM_BINDING_LABEL ? DPM_ELEMENT_I32 : DPM_ELEMENT_F32, index});
  return index;
}

void Graph::bind_output(int value, const std::string& name) {
  values[static_cast<std::size_t>(value)].binding = static_cast<int>(bindings.size());
  bindings.push_back({name, DPM_DIRECTION_OUTPUT, DPM_ELEMENT_F32, value});
}

int Graph::find_binding(std::string_view name) const {
  for (std::size_t i = 0; i < bindings.size(); ++i) {
    if (bindings[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

int Graph::root(int value) const {
  while (values[value].parent >= 0) value = values[value].parent;
  return value;
}

}  // namespace dpm::graph
