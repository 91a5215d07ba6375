#include "graph/node.h"

#include <utility>

#include "core/error.h"
#include "graph/operation.h"

namespace dpm::graph {

Node make_node(dpm_op op, std::string name, std::vector<int> inputs) {
  return make_node(op, std::move(name), std::move(inputs), operation_of(op).attributes);
}

Node make_node(dpm_op op, std::string name, std::vector<int> inputs, Attributes attributes) {
  Node node;
  node.op = op;
  node.name = std::move(name);
  node.inputs = std::move(inputs);
  node.attributes = attributes;
  return node;
}

void refuse_attributes(const Node& node) {
  throw Error(ErrorCode::kArgument, node.name + ": its attributes are not those of " + operation_of(node.op).name);
}

}  // namespace dpm::graph
