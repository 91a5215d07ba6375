#include "graph/passes/reverse.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "graph/passes/derivative_parts.h"
#include "graph/passes/derivatives.h"

namespace dpm::graph {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

[[noreturn]] void refuse(const Node& node, const std::string& what) {
  throw Error(ErrorCode::kUnsupported, node.name + ": " + what);
}

}  // namespace

Reverse::Reverse(Graph& graph, std::vector<bool> depends, WeightGradients* weights)
    : graph_(graph),
      forward_(graph.nodes.size()),
      depends_(std::move(depends)),
      weights_(weights),
      cotangents_(graph.values.size(), -1) {}

void Reverse::pull_back_given() {
  seed(DPM_BINDING_OUTPUT, DPM_BINDING_OUTPUT_COTANGENT);
  seed(DPM_BINDING_HEAD, DPM_BINDING_HEAD_COTANGENT);
  pull_back_all();
}

void Reverse::pull_back_label(float scale) {
  const int logits = graph_.bindings[index(graph_.find_binding(DPM_BINDING_OUTPUT))].value;
  const Value of = shape(logits);
  if (of.height != 1 || of.width != 1) throw Error(ErrorCode::kUnsupported, "the network's output is no logits");
  if (graph_.find_binding(DPM_BINDING_LABEL) >= 0 || graph_.find_binding(DPM_BINDING_HEAD) >= 0) {
    throw Error(ErrorCode::kUnsupported, "a classifier has one output and takes no labels");
  }
  const int label = graph_.add_input(DPM_BINDING_LABEL, 1, 1, 1);
  name_ = "label.";
  const int copy = add(DPM_OP_AFFINE, "logits", {logits});
  const int score = add(DPM_OP_LABEL_SCORE, "score", {copy, label});
  give(logits, scale == 1 ? score : scaled(score, scale));
  pull_back_all();
}

void Reverse::pull_back_square(Seed seed) {
  const bool of_head = is_of_head(seed);
  const int head = graph_.find_binding(DPM_BINDING_HEAD);
  if (!of_head && head >= 0) {
    throw Error(ErrorCode::kUnsupported, "a square loss is of one output, this network has two");
  }
  if (of_head && head < 0) throw Error(ErrorCode::kUnsupported, "the network has no second output to learn");
  const int output = graph_.bindings[index(graph_.find_binding(DPM_BINDING_OUTPUT))].value;
  const int learned = of_head ? graph_.bindings[index(head)].value : output;
  const Value of = shape(learned);
  name_ = "loss.";
  std::vector<int> inputs{add(DPM_OP_AFFINE, "output", {learned}),
                          add_given(graph_, DPM_BINDING_TARGET, of.channels, of.height, of.width),
                          add_given(graph_, DPM_BINDING_LOSS_WEIGHT, 1, 1, 1)};
  if (seed == Seed::kResidual) inputs.push_back(add(DPM_OP_AFFINE, "prediction", {output}));
  if (seed == Seed::kNoise) inputs.push_back(add(DPM_OP_AFFINE, "zeros", {inputs[1]}, Affine{0, 0}));
  const int score = add(DPM_OP_SQUARE_SCORE, "score", std::move(inputs));
  give(learned, score);
  bind_result(graph_, score, of_head ? DPM_BINDING_HEAD_COTANGENT : DPM_BINDING_OUTPUT_COTANGENT);
  pull_back_all();
}

void Reverse::bind_input(const char* input, const char* cotangent) {
  const int binding = graph_.find_binding(input);
  const int known = binding < 0 ? -1 : cotangents_[index(graph_.bindings[index(binding)].value)];
  if (known < 0) throw Error(ErrorCode::kUnsupported, "no output of the network depends on its " + std::string(input));
  bind_result(graph_, known, cotangent);
}

void Reverse::seed(const char* output, const char* name) {
  const int binding = graph_.find_binding(output);
  if (binding < 0) return;
  const int value = graph_.bindings[index(binding)].value;
  const Value of = shape(value);
  give(value, add_given(graph_, name, of.channels, of.height, of.width));
}

void Reverse::pull_back_all() {
  for (std::size_t i = forward_; i-- > 0;) {
    // The node is copied, because adding nodes moves the existing ones.
    const Node node = graph_.nodes[i];
    // Nodes of two results are those of derivatives, which are refused.
    const auto known = std::find_if(node.outputs.begin(), node.outputs.end(),
                                    [&](int output) { return cotangents_[index(output)] >= 0; });
    if (known == node.outputs.end()) continue;
    const int cotangent = cotangents_[index(*known)];
    pull_back(node, cotangent);
    const bool is_norm = node.op == DPM_OP_GROUP_NORM || node.op == DPM_OP_LAYER_NORM;
    if (weights_ != nullptr && !is_norm && weights_->wants(node)) weights_->add(node, cotangent);
  }
}

void Reverse::give(int value, int cotangent) {
  if (!depends(value)) return;
  int& known = cotangents_[index(value)];
  known = known < 0 ? cotangent : add(DPM_OP_ADD, "sum", {cotangent, known});
}

int Reverse::add(dpm_op op, const std::string& what, std::vector<int> inputs) {
  return graph_.add(make_node(op, name_ + what, std::move(inputs)));
}

int Reverse::add(dpm_op op, const std::string& what, std::vector<int> inputs, Attributes attributes) {
  return graph_.add(make_node(op, name_ + what, std::move(inputs), attributes));
}

int Reverse::scaled(int value, float scale) { return add(DPM_OP_AFFINE, "scale", {value}, Affine{scale, 0}); }

int Reverse::range(int value, int first, const Value& part) {
  return add(DPM_OP_VIEW, "channels", {value}, View{first, part.channels, part.height, part.width});
}

void Reverse::pull_back(const Node& node, int d) {
  refuse_form(node);
  name_ = node.name + ".cotangent.";
  const int x = node.input(0);
  switch (node.op) {
    case DPM_OP_EMBEDDING:
    case DPM_OP_TIME_EMBEDDING:
      // Nothing is differentiated by the time or the label.
      return;
    case DPM_OP_CONVOLUTION:
      return give_made(x, [&] { return convolution(node, d); });
    case DPM_OP_GROUP_NORM:
      return norm(node, d);
    case DPM_OP_LAYER_NORM:
      return layer_norm(node, d);
    case DPM_OP_GEGLU:
      return give_made(x, [&] { return add(DPM_OP_GEGLU_BACKWARD, "geglu", {x, d}); });
    case DPM_OP_ATTENTION:
      return attention(node, d);
    case DPM_OP_CONCAT:
      return concatenation(node, d);
    case DPM_OP_BIAS:
    case DPM_OP_POSITION:
      return give(x, d);
    case DPM_OP_VIEW:
      return give_made(x, [&] { return viewed(node, d); });
    case DPM_OP_SEPARABLE:
      return give_made(x, [&] { return separable(node, d); });
    case DPM_OP_CHANNEL_ADD:
      give(x, d);
      return give_made(node.input(1), [&] { return sum_of_pixels(graph_, d, name_); });
    case DPM_OP_SCALE_SHIFT:
      return scale_shift(node, d);
    case DPM_OP_ADD:
      give(x, d);
      return give(node.input(1), d);
    case DPM_OP_AFFINE:
      return give_made(x, [&] { return scaled(d, attributes<Affine>(node).scale); });
    case DPM_OP_SILU:
      return give_made(
          x, [&] { return add(DPM_OP_ACTIVATION_BACKWARD, "silu", {x, d}, Activation{DPM_ACTIVATION_SILU}); });
    case DPM_OP_ACTIVATION:
      return give_made(
          x, [&] { return add(DPM_OP_ACTIVATION_BACKWARD, "activation", {x, d}, attributes<Activation>(node)); });
    case DPM_OP_DROPOUT:
      return give_made(x, [&] { return add(DPM_OP_DROPOUT, "dropout", {d, node.input(1)}, node.attributes); });
    case DPM_OP_UPSAMPLE:
    case DPM_OP_AVERAGE_POOL:
    case DPM_OP_FIR_UPSAMPLE:
    case DPM_OP_FIR_DOWNSAMPLE:
      return give_made(x, [&] { return resampled(node, d); });
    default:
      refuse(node, "this operation has no derivative");
  }
}

int Reverse::convolution(const Node& node, int d) {
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

void Reverse::norm(const Node& node, int d) {
  const int vector = node.input(1);
  const bool is_learned = weights_ != nullptr && weights_->wants(node);
  Node result = make_node(DPM_OP_GROUP_NORM_BACKWARD, name_ + "norm", {node.input(0), d}, node.attributes);
  attributes<GroupNorm>(result).sums = is_learned || depends(vector);
  if (vector >= 0) result.set_input(2, vector);
  result.weights = node.weights;
  result.biases = node.biases;
  const int of_map = graph_.add(std::move(result));
  const int sums = graph_.nodes.back().outputs.back();
  give(node.input(0), of_map);
  if (is_learned) weights_->add_norm(node, sums);
  give_made(vector, [&] {
    Node of_vector = make_node(DPM_OP_GROUP_NORM_VECTOR, name_ + "vector", {sums});
    of_vector.weights = node.weights;
    of_vector.biases = node.biases;
    return graph_.add(std::move(of_vector));
  });
}

void Reverse::layer_norm(const Node& node, int d) {
  const bool is_learned = weights_ != nullptr && weights_->wants(node);
  Node result = make_node(DPM_OP_LAYER_NORM_BACKWARD, name_ + "norm", {node.input(0), d}, node.attributes);
  attributes<LayerNorm>(result).products = is_learned;
  result.weights = node.weights;
  const int of_map = graph_.add(std::move(result));
  const int products = graph_.nodes.back().outputs.back();
  give(node.input(0), of_map);
  if (is_learned) weights_->add_layer_norm(node, products, d);
}

void Reverse::concatenation(const Node& node, int d) {
  const Value first = shape(node.input(0));
  const Value second = shape(node.input(1));
  give_made(node.input(0), [&] { return range(d, 0, first); });
  give_made(node.input(1), [&] { return range(d, first.channels, second); });
}

void Reverse::scale_shift(const Node& node, int d) {
  const int vector = node.input(1);
  if (depends(vector)) refuse(node, "its scale and shift have a derivative only where they follow a group norm");
  give_made(node.input(0), [&] { return add(DPM_OP_SCALE_SHIFT, "scale", {d, scale_alone(graph_, vector, name_)}); });
}

int Reverse::viewed(const Node& node, int d) {
  const Value in = shape(node.input(0));
  const View& view = attributes<View>(node);
  Value part = in;
  part.channels = view.channels;
  int result = range(d, 0, part);
  if (view.first > 0) result = add(DPM_OP_CONCAT, "behind zeros", {zeros(node, 0, view.first), result});
  const int behind = view.first + view.channels;
  if (behind == in.channels) return result;
  return add(DPM_OP_CONCAT, "before zeros", {result, zeros(node, behind, in.channels - behind)});
}

/// Makes zeros in place of channels that a view does not show.
int Reverse::zeros(const Node& view, int first, int channels) {
  Value part = shape(view.input(0));
  part.channels = channels;
  return add(DPM_OP_AFFINE, "zeros", {range(view.input(0), first, part)}, Affine{0, 0});
}

int Reverse::separable(const Node& node, int d) {
  Node result = make_node(DPM_OP_SEPARABLE, name_ + "separable", {d});
  for (const int matrix : node.weights) result.weights.push_back(transposed_weight(matrix));
  return graph_.add(std::move(result));
}

int Reverse::transposed_weight(int weight) {
  const auto known = transposed_.find(weight);
  if (known != transposed_.end()) return known->second;
  return transposed_[weight] = graph_.add_constant(transposed(graph_.constants[index(weight)]));
}

void Reverse::attention(const Node& node, int d) {
  std::vector<int> inputs = node.inputs;
  inputs.push_back(d);
  const int all = add(DPM_OP_ATTENTION_BACKWARD, "attention", inputs, node.attributes);
  const std::vector<int> results = graph_.nodes.back().outputs;
  const bool is_crossed = results.size() > 1;
  if (is_crossed) give(node.inputs[0], all);
  // Channels of k and v come behind those of q, or are a result of their own.
  for (std::size_t k = is_crossed ? 1 : 0; k < node.inputs.size(); ++k) {
    const Value part = shape(node.inputs[k]);
    const int place = static_cast<int>(k) - (is_crossed ? 1 : 0);
    give_made(node.inputs[k], [&] { return range(results.back(), place * part.channels, part); });
  }
}

int Reverse::resampled(const Node& node, int d) {
  constexpr float kPixels = 4;
  switch (node.op) {
    case DPM_OP_UPSAMPLE:
      return scaled(add(DPM_OP_AVERAGE_POOL, "pool", {d}), kPixels);
    case DPM_OP_AVERAGE_POOL:
      return scaled(add(DPM_OP_UPSAMPLE, "upsample", {d}), 1 / kPixels);
    case DPM_OP_FIR_UPSAMPLE:
      return scaled(add(DPM_OP_FIR_DOWNSAMPLE, "fir", {d}, FirDownsample{1 - attributes<FirUpsample>(node).extension}),
                    kPixels);
    default: {
      const FirUpsample filter{1 - attributes<FirDownsample>(node).padding};
      return scaled(add(DPM_OP_FIR_UPSAMPLE, "fir", {d}, filter), 1 / kPixels);
    }
  }
}

}  // namespace dpm::graph
