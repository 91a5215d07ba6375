#include "graph/node.h"

#include <utility>

#include "core/error.h"
#include "graph/operation.h"

namespace dpm::graph {
namespace {

template <typename Kind, typename AnyNode>
auto& attributes_of(AnyNode& node) {
  auto* found = std::get_if<Kind>(&node.attributes);
  if (found == nullptr) {
    throw Error(ErrorCode::kArgument, node.name + ": its attributes are not those of " + operation_of(node.op).name);
  }
  return *found;
}

}  // namespace

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

TimeEmbedding& time_embedding_of(Node& node) { return attributes_of<TimeEmbedding>(node); }
const TimeEmbedding& time_embedding_of(const Node& node) { return attributes_of<TimeEmbedding>(node); }
Convolution& convolution_of(Node& node) { return attributes_of<Convolution>(node); }
const Convolution& convolution_of(const Node& node) { return attributes_of<Convolution>(node); }
GroupNorm& group_norm_of(Node& node) { return attributes_of<GroupNorm>(node); }
const GroupNorm& group_norm_of(const Node& node) { return attributes_of<GroupNorm>(node); }
Attention& attention_of(Node& node) { return attributes_of<Attention>(node); }
const Attention& attention_of(const Node& node) { return attributes_of<Attention>(node); }
Affine& affine_of(Node& node) { return attributes_of<Affine>(node); }
const Affine& affine_of(const Node& node) { return attributes_of<Affine>(node); }
FirUpsample& fir_upsample_of(Node& node) { return attributes_of<FirUpsample>(node); }
const FirUpsample& fir_upsample_of(const Node& node) { return attributes_of<FirUpsample>(node); }
FirDownsample& fir_downsample_of(Node& node) { return attributes_of<FirDownsample>(node); }
const FirDownsample& fir_downsample_of(const Node& node) { return attributes_of<FirDownsample>(node); }
Activation& activation_of(Node& node) { return attributes_of<Activation>(node); }
const Activation& activation_of(const Node& node) { return attributes_of<Activation>(node); }
View& view_of(Node& node) { return attributes_of<View>(node); }
const View& view_of(const Node& node) { return attributes_of<View>(node); }

}  // namespace dpm::graph
