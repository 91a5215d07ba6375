// Access to the nodes of a graph, and the parts of a node that a layer keeps after the graph is gone.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "core/error.h"

namespace dpm {

/// Returns the value that is input `index`, -1 where the node has none.
inline int input_of(const dpm_node& node, std::uint32_t index) {
  return index < node.input_count ? node.inputs[index] : -1;
}

/// Returns the value that is the result of a node, the first where it has two.
inline int output_of(const dpm_node& node) { return node.outputs[0]; }

/// The values of a node.
class Operands {
 public:
  explicit Operands(const dpm_node& node)
      : inputs_(node.inputs, node.inputs + node.input_count),
        outputs_(node.outputs, node.outputs + node.output_count) {}

  [[nodiscard]] int input(std::size_t index) const { return index < inputs_.size() ? inputs_[index] : -1; }
  [[nodiscard]] std::size_t inputs() const { return inputs_.size(); }
  /// The result `index`, the first where nothing else is said.
  [[nodiscard]] int output(std::size_t index = 0) const { return outputs_[index]; }
  [[nodiscard]] std::size_t outputs() const { return outputs_.size(); }

 private:
  std::vector<int> inputs_;
  std::vector<int> outputs_;
};

inline const dpm_time_embedding_attributes& time_embedding_of(const dpm_node& node) {
  require(node.op == DPM_OP_TIME_EMBEDDING, "a node is no time embedding");
  return node.attributes.time_embedding;
}

inline const dpm_convolution_attributes& convolution_of(const dpm_node& node) {
  require(node.op == DPM_OP_CONVOLUTION || node.op == DPM_OP_CONVOLUTION_WEIGHTS, "a node is no convolution");
  return node.attributes.convolution;
}

inline const dpm_group_norm_attributes& group_norm_of(const dpm_node& node) {
  require(node.op == DPM_OP_GROUP_NORM || node.op == DPM_OP_GROUP_NORM_BACKWARD || node.op == DPM_OP_GROUP_NORM_TANGENT,
          "a node is no group norm");
  return node.attributes.group_norm;
}

inline const dpm_layer_norm_attributes& layer_norm_of(const dpm_node& node) {
  require(node.op == DPM_OP_LAYER_NORM || node.op == DPM_OP_LAYER_NORM_BACKWARD, "a node is no layer norm");
  return node.attributes.layer_norm;
}

inline const dpm_attention_attributes& attention_of(const dpm_node& node) {
  require(node.op == DPM_OP_ATTENTION || node.op == DPM_OP_ATTENTION_BACKWARD || node.op == DPM_OP_ATTENTION_TANGENT,
          "a node is no attention");
  return node.attributes.attention;
}

inline const dpm_affine_attributes& affine_of(const dpm_node& node) {
  require(node.op == DPM_OP_AFFINE, "a node is no affine map");
  return node.attributes.affine;
}

inline dpm_activation activation_of(const dpm_node& node) {
  require(node.op == DPM_OP_ACTIVATION || node.op == DPM_OP_ACTIVATION_BACKWARD, "a node is no activation");
  return static_cast<dpm_activation>(node.attributes.activation.kind);
}

inline const dpm_view_attributes& view_of(const dpm_node& node) {
  require(node.op == DPM_OP_VIEW, "a node is no view");
  return node.attributes.view;
}

inline const dpm_embedding_weights_attributes& embedding_weights_of(const dpm_node& node) {
  require(node.op == DPM_OP_EMBEDDING_WEIGHTS, "a node is no gradient of a table");
  return node.attributes.embedding_weights;
}

inline const dpm_dropout_attributes& dropout_attributes_of(const dpm_node& node) {
  require(node.op == DPM_OP_DROPOUT, "a node is no dropout");
  return node.attributes.dropout;
}

/// Extra elements on either side of an upsampling's result, beyond twice the map; 0 for every other node.
inline int fir_extension_of(const dpm_node& node) {
  return node.op == DPM_OP_FIR_UPSAMPLE ? node.attributes.fir_upsample.extension : 0;
}

/// Number of zeros around the map of a downsampling, 0 for every other node.
inline int fir_padding_of(const dpm_node& node) {
  return node.op == DPM_OP_FIR_DOWNSAMPLE ? node.attributes.fir_downsample.padding : 0;
}

}  // namespace dpm
