#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "graph/passes/derivative_parts.h"
#include "graph/passes/derivatives.h"

namespace dpm::graph {
namespace {

/// Walks through a graph and adds the tangent's node behind every node that depends on the image.
class Forward {
 public:
  explicit Forward(Graph& graph) : graph_(graph), tangents_(graph.values.size(), -1) {}

  void run() {
    const std::vector<bool> is_needed = lead_to_output(graph_);
    const std::vector<Node> forward = std::move(graph_.nodes);
    graph_.nodes.clear();
    const int image = bound(DPM_BINDING_IMAGE);
    const Value of = graph_.values[index(image)];
    tangents_[index(image)] = add_given(graph_, DPM_BINDING_IMAGE_TANGENT, of.channels, of.height, of.width);
    for (const Node& node : forward) {
      graph_.nodes.push_back(node);
      const bool is_read =
          std::any_of(node.outputs.begin(), node.outputs.end(), [&](int output) { return is_needed[index(output)]; });
      if (is_read) push_forward(node);
    }
    bool depends = false;
    for (const auto& [output, name] : {std::pair{DPM_BINDING_OUTPUT, DPM_BINDING_OUTPUT_TANGENT},
                                       std::pair{DPM_BINDING_HEAD, DPM_BINDING_HEAD_TANGENT}}) {
      if (graph_.find_binding(output) < 0) continue;
      int tangent = tangents_[index(bound(output))];
      depends = depends || tangent >= 0;
      if (tangent < 0) {
        // The output does not depend on the image, so its tangent is zero.
        name_ = std::string(name) + ".";
        tangent = add(DPM_OP_AFFINE, "zero", {bound(output)}, Affine{0, 0});
      }
      bind_result(graph_, tangent, name);
    }
    if (!depends) throw Error(ErrorCode::kUnsupported, "no output of the network depends on its image");
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] int bound(const char* name) const { return graph_.bindings[index(graph_.find_binding(name))].value; }
  [[nodiscard]] int tangent(int value) const { return value >= 0 ? tangents_[index(value)] : -1; }

  int add(dpm_op op, const std::string& what, std::vector<int> inputs, Attributes attributes) {
    return graph_.add(make_node(op, name_ + what, std::move(inputs), attributes));
  }

  void push_forward(const Node& node) {
    const int t = tangent(node.input(0));
    const int other = tangent(node.input(1));
    if (std::ranges::none_of(node.inputs, [this](int input) { return tangent(input) >= 0; })) return;
    refuse_tangent(graph_, node);
    name_ = node.name + ".tangent.";
    tangents_[index(node.output())] = tangent_of(node, t, other);
  }

  int tangent_of(const Node& node, int t, int other) {
    const bool is_sum = node.op == DPM_OP_ADD || node.op == DPM_OP_CONCAT;
    if (other >= 0 && !is_sum && node.op != DPM_OP_ATTENTION) {
      throw Error(ErrorCode::kUnsupported,
                  node.name + ": its vector depends on the image, which has no derivative yet");
    }
    switch (node.op) {
      case DPM_OP_BIAS:
      case DPM_OP_POSITION:
      case DPM_OP_CHANNEL_ADD:
        return t;
      case DPM_OP_AFFINE:
        return add(DPM_OP_AFFINE, "scale", {t}, Affine{attributes<Affine>(node).scale, 0});
      case DPM_OP_SILU:
        return add(DPM_OP_ACTIVATION_BACKWARD, "silu", {node.input(0), t}, Activation{DPM_ACTIVATION_SILU});
      case DPM_OP_ACTIVATION:
        return add(DPM_OP_ACTIVATION_BACKWARD, "activation", {node.input(0), t}, attributes<Activation>(node));
      case DPM_OP_DROPOUT:
        return add(DPM_OP_DROPOUT, "dropout", {t, node.input(1)}, node.attributes);
      case DPM_OP_GROUP_NORM:
        return norm(node, t);
      case DPM_OP_ATTENTION:
        return attention(node);
      case DPM_OP_SCALE_SHIFT:
        return add(DPM_OP_SCALE_SHIFT, "scale", {t, scale_alone(graph_, node.input(1), name_)}, node.attributes);
      case DPM_OP_ADD:
        return t < 0 ? other : other < 0 ? t : add(DPM_OP_ADD, "sum", {t, other}, node.attributes);
      case DPM_OP_CONCAT:
        return add(DPM_OP_CONCAT, "channels", {or_zero(node.input(0)), or_zero(node.input(1))}, node.attributes);
      default:
        return linear(node, t);
    }
  }

  /// Returns the tangent of a value: zeros where it does not depend on the image.
  int or_zero(int value) {
    return tangent(value) >= 0 ? tangent(value) : add(DPM_OP_AFFINE, "zero", {value}, Affine{0, 0});
  }

  int norm(const Node& node, int t) {
    Node result = make_node(DPM_OP_GROUP_NORM_TANGENT, name_ + "norm", {node.input(0), t}, node.attributes);
    if (node.input(1) >= 0) result.set_input(2, node.input(1));
    result.weights = node.weights;
    result.biases = node.biases;
    return graph_.add(std::move(result));
  }

  int attention(const Node& node) {
    std::vector<int> inputs = node.inputs;
    for (const int value : node.inputs) inputs.push_back(or_zero(value));
    return add(DPM_OP_ATTENTION_TANGENT, "attention", inputs, node.attributes);
  }

  /// Applies a linear operation to the tangent.
  int linear(const Node& node, int t) {
    switch (node.op) {
      case DPM_OP_CONVOLUTION:
      case DPM_OP_UPSAMPLE:
      case DPM_OP_AVERAGE_POOL:
      case DPM_OP_FIR_UPSAMPLE:
      case DPM_OP_FIR_DOWNSAMPLE:
      case DPM_OP_VIEW:
      case DPM_OP_SEPARABLE: {
        Node result = make_node(node.op, name_ + "map", {t}, node.attributes);
        result.weights = node.weights;
        return graph_.add(std::move(result));
      }
      default:
        throw Error(ErrorCode::kUnsupported, node.name + ": this operation has no derivative");
    }
  }

  Graph& graph_;
  /// Tangent of each value, -1 where it has none.
  std::vector<int> tangents_;
  std::string name_;
};

}  // namespace

void linearise(Graph& graph) {
  fold_norms(graph);
  Forward(graph).run();
}

}  // namespace dpm::graph
