#include <map>
#include <string>
#include <utility>

#include "core/error.h"
#include "graph/passes/derivative_parts.h"
#include "graph/passes/derivatives.h"

namespace dpm::graph {
namespace {

[[noreturn]] void refuse(const Node& node, const std::string& what) {
  throw Error(ErrorCode::kUnsupported, node.name + ": " + what);
}

/// Appends the cotangents of a graph's values, from its last node to its first.
class Reverse {
 public:
  explicit Reverse(Graph& graph)
      : graph_(graph),
        forward_(graph.nodes.size()),
        depends_(depend_on_image(graph)),
        cotangents_(graph.values.size(), -1) {}

  /// Starts from cotangents of the outputs, which are inputs.
  void pull_back_given() {
    for (const auto& [output, cotangent] : {std::pair{DPM_BINDING_OUTPUT, DPM_BINDING_OUTPUT_COTANGENT},
                                            std::pair{DPM_BINDING_HEAD, DPM_BINDING_HEAD_COTANGENT}}) {
      seed(output, cotangent);
    }
    pull_back_all();
  }

  /// Starts from the cotangent of ln p(label), with logits as the output.
  void pull_back_label() {
    const int logits = graph_.bindings[index(graph_.find_binding(DPM_BINDING_OUTPUT))].value;
    const Value of = shape(logits);
    if (of.height != 1 || of.width != 1) throw Error(ErrorCode::kUnsupported, "the network's output is no logits");
    if (graph_.find_binding(DPM_BINDING_LABEL) >= 0 || graph_.find_binding(DPM_BINDING_HEAD) >= 0) {
      throw Error(ErrorCode::kUnsupported, "a classifier has one output and takes no labels");
    }
    const int label = graph_.add_input(DPM_BINDING_LABEL, 1, 1, 1);
    name_ = "label.";
    const int copy = add(DPM_OP_AFFINE, "logits", {logits});
    give(logits, add(DPM_OP_LABEL_SCORE, "score", {copy, label}));
    pull_back_all();
  }

 private:
  void pull_back_all() {
    for (std::size_t i = forward_; i-- > 0;) {
      // The node is copied, because adding nodes moves the existing ones.
      const Node node = graph_.nodes[i];
      const int cotangent = cotangents_[index(node.output())];
      if (cotangent >= 0) pull_back(node, cotangent);
    }
    const int image = graph_.bindings[index(graph_.find_binding(DPM_BINDING_IMAGE))].value;
    const int cotangent = cotangents_[index(image)];
    if (cotangent < 0) throw Error(ErrorCode::kUnsupported, "no output of the network depends on its image");
    bind_result(graph_, cotangent, DPM_BINDING_IMAGE_COTANGENT);
  }

  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] bool depends(int value) const { return value >= 0 && depends_[index(value)]; }
  [[nodiscard]] const Value& shape(int value) const { return graph_.values[index(value)]; }

  void seed(const char* output, const char* name) {
    const int binding = graph_.find_binding(output);
    if (binding < 0) return;
    const int value = graph_.bindings[index(binding)].value;
    const Value& of = shape(value);
    give(value, add_given(graph_, name, of.channels, of.height, of.width));
  }

  /// Adds a term to the cotangent of a value.
  void give(int value, int cotangent) {
    if (!depends(value)) return;
    int& known = cotangents_[index(value)];
    known = known < 0 ? cotangent : add(DPM_OP_ADD, "sum", {cotangent, known});
  }

  int add(dpm_op op, const std::string& what, std::vector<int> inputs) {
    return graph_.add(make_node(op, name_ + what, std::move(inputs)));
  }
  int add(dpm_op op, const std::string& what, std::vector<int> inputs, Attributes attributes) {
    return graph_.add(make_node(op, name_ + what, std::move(inputs), attributes));
  }
  int scaled(int value, float scale) { return add(DPM_OP_AFFINE, "scale", {value}, Affine{scale, 0}); }

  void pull_back(const Node& node, int d) {
    name_ = node.name + ".cotangent.";
    const int x = node.input(0);
    switch (node.op) {
      case DPM_OP_CONVOLUTION:
        return give(x, convolution(node, d));
      case DPM_OP_GROUP_NORM:
        return give(x, norm(node, d));
      case DPM_OP_ATTENTION:
        return attention(node, d);
      case DPM_OP_CONCAT:
        give(x, range(d, 0, shape(x)));
        return give(node.input(1), range(d, shape(x).channels, shape(node.input(1))));
      case DPM_OP_BIAS:
      case DPM_OP_POSITION:
        return give(x, d);
      case DPM_OP_VIEW:
        return give(x, viewed(node, d));
      case DPM_OP_SEPARABLE:
        return give(x, separable(node, d));
      case DPM_OP_CHANNEL_ADD:
        if (depends(node.input(1))) refuse(node, "its vector depends on the image, which has no derivative yet");
        return give(x, d);
      case DPM_OP_SCALE_SHIFT:
        if (depends(node.input(1)))
          refuse(node, "its scale and shift depend on the image, which has no derivative yet");
        return give(x, add(DPM_OP_SCALE_SHIFT, "scale", {d, scale_alone(graph_, node.input(1), name_)}));
      case DPM_OP_ADD:
        give(x, d);
        return give(node.input(1), d);
      case DPM_OP_AFFINE:
        return give(x, scaled(d, attributes<Affine>(node).scale));
      case DPM_OP_SILU:
        return give(x, add(DPM_OP_ACTIVATION_BACKWARD, "silu", {x, d}, Activation{DPM_ACTIVATION_SILU}));
      case DPM_OP_ACTIVATION:
        return give(x, add(DPM_OP_ACTIVATION_BACKWARD, "activation", {x, d}, attributes<Activation>(node)));
      default:
        return give(x, resampled(node, d));
    }
  }

  int convolution(const Node& node, int d) {
    const Convolution& how = attributes<Convolution>(node);
    if (how.stride > 2) refuse(node, "a convolution of this stride has no derivative");
    const Value in = shape(node.input(0));
    if (how.stride == 2) d = add(DPM_OP_ZERO_UPSAMPLE, "zeros", {d});
    Convolution adjoint;
    adjoint.kernel = how.kernel;
    adjoint.pad_before = how.kernel - 1 - how.pad_before;
    adjoint.pad_after = in.height - shape(d).height + how.pad_before;
    // Non-square maps would need different padding on the two axes.
    if (adjoint.pad_after < 0 || in.width - shape(d).width != in.height - shape(d).height) {
      refuse(node, "a convolution with this border has no derivative");
    }
    Node result = make_node(DPM_OP_CONVOLUTION, name_ + "convolution", {d}, adjoint);
    result.weights = {transposed_weight(node.weights.front())};
    return graph_.add(std::move(result));
  }

  int viewed(const Node& node, int d) {
    const Value in = shape(node.input(0));
    if (shape(d).channels != in.channels) refuse(node, "a range of channels has no derivative");
    return range(d, 0, in);
  }

  int separable(const Node& node, int d) {
    Node result = make_node(DPM_OP_SEPARABLE, name_ + "separable", {d});
    for (const int matrix : node.weights) result.weights.push_back(transposed_weight(matrix));
    return graph_.add(std::move(result));
  }

  int transposed_weight(int weight) {
    const auto known = transposed_.find(weight);
    if (known != transposed_.end()) return known->second;
    return transposed_[weight] = graph_.add_constant(transposed(graph_.constants[index(weight)]));
  }

  int norm(const Node& node, int d) {
    const int vector = node.input(1);
    if (depends(vector)) refuse(node, "its scale and shift depend on the image, which has no derivative yet");
    Node result = make_node(DPM_OP_GROUP_NORM_BACKWARD, name_ + "norm", {node.input(0), d}, node.attributes);
    if (vector >= 0) result.set_input(2, vector);
    result.weights = node.weights;
    result.biases = node.biases;
    return graph_.add(std::move(result));
  }

  void attention(const Node& node, int d) {
    std::vector<int> inputs = node.inputs;
    inputs.push_back(d);
    const int all = add(DPM_OP_ATTENTION_BACKWARD, "attention", inputs, node.attributes);
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const Value part = shape(node.inputs[k]);
      give(node.inputs[k], range(all, static_cast<int>(k) * part.channels, part));
    }
  }

  /// Takes a range of channels of `value`, from `first` on, as many as `part` has.
  int range(int value, int first, const Value& part) {
    return add(DPM_OP_VIEW, "channels", {value}, View{first, part.channels, part.height, part.width});
  }

  int resampled(const Node& node, int d) {
    constexpr float kPixels = 4;
    switch (node.op) {
      case DPM_OP_UPSAMPLE:
        return scaled(add(DPM_OP_AVERAGE_POOL, "pool", {d}), kPixels);
      case DPM_OP_AVERAGE_POOL:
        return scaled(add(DPM_OP_UPSAMPLE, "upsample", {d}), 1 / kPixels);
      case DPM_OP_FIR_UPSAMPLE:
        return scaled(
            add(DPM_OP_FIR_DOWNSAMPLE, "fir", {d}, FirDownsample{1 - attributes<FirUpsample>(node).extension}),
            kPixels);
      case DPM_OP_FIR_DOWNSAMPLE: {
        const FirUpsample filter{1 - attributes<FirDownsample>(node).padding};
        return scaled(add(DPM_OP_FIR_UPSAMPLE, "fir", {d}, filter), 1 / kPixels);
      }
      default:
        refuse(node, "this operation has no derivative");
    }
  }

  Graph& graph_;
  /// Number of nodes of the network itself.
  std::size_t forward_;
  std::vector<bool> depends_;
  /// Cotangent of each value of the network, -1 while it has none.
  std::vector<int> cotangents_;
  std::map<int, int> transposed_;
  /// Prefix of the names of the current node's derivative nodes.
  std::string name_;
};

}  // namespace

void differentiate(Graph& graph, Recompute recompute) {
  fold_norms(graph);
  const std::size_t forward = graph.nodes.size();
  Reverse(graph).pull_back_given();
  if (recompute == Recompute::kBlocks) recompute_blocks(graph, forward);
}

void differentiate_label(Graph& graph, Recompute recompute) {
  fold_norms(graph);
  const std::size_t forward = graph.nodes.size();
  Reverse(graph).pull_back_label();
  if (recompute == Recompute::kBlocks) recompute_blocks(graph, forward);
}

}  // namespace dpm::graph
