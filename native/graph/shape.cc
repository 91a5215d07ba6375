// Shape inference and cost of nodes.
#include <string>

#include "backend/dropout_math.h"
#include "core/error.h"
#include "graph/graph.h"
#include "graph/operation.h"

namespace dpm::graph {
namespace {

// Limits that keep every product of extents, batch and element size within 64 bits, and counts of elements within an
// int.
constexpr int kLargestSide = 65536;
constexpr int kLargestChannels = 1 << 24;
constexpr std::uint64_t kMostElements = 0x7FFFFFFF;

[[noreturn]] void mismatch(const Node& node, const std::string& what) {
  throw Error(ErrorCode::kTensorShape, node.name + ": " + what);
}

std::string shape_text(const std::vector<std::int64_t>& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) text += (i > 0 ? "," : "") + std::to_string(dims[i]);
  return text + "]";
}

void expect_dims(const Node& node, const Constant& constant, const std::vector<std::int64_t>& dims) {
  if (constant.dims != dims) {
    mismatch(node,
             "tensor " + constant.name + " has shape " + shape_text(constant.dims) + ", expected " + shape_text(dims));
  }
}

const Value& input(const Graph& graph, const Node& node, std::size_t index) {
  const int value = node.input(index);
  if (value < 0 || value >= static_cast<int>(graph.values.size())) mismatch(node, "an input is missing");
  return graph.values[value];
}

/// Output channels of the stacked weights of a convolution; a linear layer's [out, in] counts as 1 x 1.
int stacked_outputs(const Graph& graph, const Node& node, int in_channels) {
  const int kernel = attributes<Convolution>(node).kernel;
  std::int64_t outputs = 0;
  for (const int weight : node.weights) {
    const Constant& constant = graph.constants[weight];
    if (constant.dims.empty() || constant.dims[0] < 1) mismatch(node, "tensor " + constant.name + " is empty");
    const std::int64_t out = constant.dims[0];
    if (kernel == 1 && constant.dims.size() == 2) {
      expect_dims(node, constant, {out, in_channels});
    } else if (kernel == 1 && constant.dims.size() == 3) {
      expect_dims(node, constant, {out, in_channels, 1});
    } else {
      expect_dims(node, constant, {out, in_channels, kernel, kernel});
    }
    outputs += out;
    if (outputs > kLargestChannels) mismatch(node, "there are too many output channels");
  }
  return static_cast<int>(outputs);
}

void expect_vector(const Graph& graph, const Node& node, int channels, std::size_t index = 1) {
  const Value& vector = input(graph, node, index);
  if (vector.channels != channels || vector.height != 1 || vector.width != 1) {
    mismatch(node, "the channel vector has " + std::to_string(vector.channels) + " entries, expected " +
                       std::to_string(channels));
  }
}

Value infer_convolution(const Graph& graph, const Node& node) {
  const Value& in = input(graph, node, 0);
  const Convolution& how = attributes<Convolution>(node);
  Value out;
  out.channels = stacked_outputs(graph, node, in.channels);
  const int zoom = how.upsample || how.zero_upsample ? 2 : 1;
  const int padding = how.pad_before + how.pad_after;
  out.height = (in.height * zoom + padding - how.kernel) / how.stride + 1;
  out.width = (in.width * zoom + padding - how.kernel) / how.stride + 1;
  if (in.height * zoom + padding < how.kernel || in.width * zoom + padding < how.kernel) {
    mismatch(node, "the map is smaller than the kernel");
  }
  for (std::size_t i = 0; i < node.biases.size(); ++i) {
    expect_dims(node, graph.constants[node.biases[i]], {graph.constants[node.weights[i]].dims[0]});
  }
  if (node.input(1) >= 0) expect_vector(graph, node, out.channels);
  if (node.input(2) >= 0 && !input(graph, node, 2).same_shape(out)) mismatch(node, "the residual differs in shape");
  return out;
}

Value infer_group_norm(const Graph& graph, const Node& node) {
  Value out = input(graph, node, 0);
  const int groups = attributes<GroupNorm>(node).groups;
  if (groups < 1 || out.channels % groups != 0) {
    mismatch(node, std::to_string(out.channels) + " channels do not divide into " + std::to_string(groups) + " groups");
  }
  expect_dims(node, graph.constants[node.weights[0]], {out.channels});
  for (const int bias : node.biases) expect_dims(node, graph.constants[bias], {out.channels});
  if (node.op != DPM_OP_GROUP_NORM) {
    if (!out.same_shape(input(graph, node, 1))) mismatch(node, "the derivative differs from its map in shape");
    if (node.input(2) >= 0) expect_vector(graph, node, 2 * out.channels, 2);
    return out;
  }
  if (node.input(1) >= 0) expect_vector(graph, node, 2 * out.channels, 1);
  if (node.input(2) >= 0) expect_vector(graph, node, out.channels, 2);
  return out;
}

Value infer_view(const Graph& graph, const Node& node) {
  const Value& in = input(graph, node, 0);
  const View& view = attributes<View>(node);
  if (view.first > in.channels - view.channels) mismatch(node, "its channels leave the map");
  const auto pixels = [](std::int64_t height, std::int64_t width) { return height * width; };
  if (pixels(view.height, view.width) != pixels(in.height, in.width)) mismatch(node, "it has another number of pixels");
  return {view.channels, view.height, view.width};
}

/// Returns the rows of the matrix of one axis, which must have `side` columns.
int resampled_side(const Node& node, const Constant& matrix, int side) {
  const bool is_matrix = matrix.dims.size() == 2 && matrix.dims[1] == side && matrix.dims[0] <= kLargestSide;
  if (!is_matrix) {
    mismatch(node, "tensor " + matrix.name + " has shape " + shape_text(matrix.dims) + ", expected a matrix of " +
                       std::to_string(side) + " columns");
  }
  return static_cast<int>(matrix.dims[0]);
}

Value infer_separable(const Graph& graph, const Node& node) {
  const Value& in = input(graph, node, 0);
  return {in.channels, resampled_side(node, graph.constants[node.weights[0]], in.height),
          resampled_side(node, graph.constants[node.weights[1]], in.width)};
}

/// Checks that keys and values are alike, of the queries' channels, and the logits one number a key.
void expect_keys(const Graph& graph, const Node& node) {
  const Value& q = input(graph, node, 0);
  const Value& k = input(graph, node, 1);
  if (!k.same_shape(input(graph, node, 2))) mismatch(node, "k and v differ in shape");
  if (k.channels != q.channels) mismatch(node, "q and k differ in channels");
  const std::int64_t keys = std::int64_t{k.height} * k.width;
  if (attributes<Attention>(node).causal && keys != std::int64_t{q.height} * q.width) {
    mismatch(node, "causal attention has as many keys as queries");
  }
  if (node.op == DPM_OP_ATTENTION_BACKWARD) {
    if (!q.same_shape(input(graph, node, 3))) mismatch(node, "the derivative is not of the operation's result");
    return;
  }
  if (node.input(3) < 0) return;
  const Value& logits = input(graph, node, 3);
  if (logits.channels != keys || logits.height != 1 || logits.width != 1) {
    mismatch(node, "there is not one logit a key");
  }
}

/// Returns whether keys and values are of another size than the queries.
bool is_crossed(const Graph& graph, const Node& node) {
  return !input(graph, node, 0).same_shape(input(graph, node, 1));
}

Value infer_attention(const Graph& graph, const Node& node) {
  Value out = input(graph, node, 0);
  const int heads = attributes<Attention>(node).heads;
  if (node.op != DPM_OP_ATTENTION_TANGENT) {
    expect_keys(graph, node);
  } else {
    for (std::size_t k = 1; k < node.inputs.size(); ++k) {
      if (!out.same_shape(input(graph, node, k))) mismatch(node, "q, k, v and what belongs to them differ in shape");
    }
  }
  if (heads < 1 || out.channels % heads != 0) {
    mismatch(node, std::to_string(out.channels) + " channels do not divide into " + std::to_string(heads) + " heads");
  }
  if (node.op == DPM_OP_ATTENTION_BACKWARD && !is_crossed(graph, node)) out.channels *= 3;
  return out;
}

Value infer_embedding(const Graph& graph, const Node& node) {
  const Constant& table = graph.constants[node.weights[0]];
  if (table.dims.size() != 2 || table.dims[1] > kLargestChannels) {
    mismatch(node, "tensor " + table.name + " is not a table");
  }
  return {static_cast<int>(table.dims[1]), 1, 1};
}

Value infer_concat(const Graph& graph, const Node& node) {
  Value out = input(graph, node, 0);
  const Value& second = input(graph, node, 1);
  if (out.height != second.height || out.width != second.width) mismatch(node, "the maps differ in size");
  out.channels += second.channels;
  return out;
}

Value infer_upsample(const Graph& graph, const Node& node) {
  Value out = input(graph, node, 0);
  const Upsample& to = attributes<Upsample>(node);
  out.height = to.height > 0 ? to.height : 2 * out.height;
  out.width = to.width > 0 ? to.width : 2 * out.width;
  return out;
}

Value infer_layer_norm(const Graph& graph, const Node& node) {
  const Value& in = input(graph, node, 0);
  expect_dims(node, graph.constants[node.weights[0]], {in.channels});
  if (node.op == DPM_OP_LAYER_NORM_BACKWARD) {
    if (!in.same_shape(input(graph, node, 1))) mismatch(node, "the maps differ in shape");
    return in;
  }
  expect_dims(node, graph.constants[node.biases[0]], {in.channels});
  return in;
}

Value infer_dropout(const Graph& graph, const Node& node) {
  const Value& bytes = input(graph, node, 1);
  if (bytes.elements() != kDropoutBytes) mismatch(node, "its second input has to be a step's and a slot's bytes");
  return input(graph, node, 0);
}

Value infer_geglu(const Graph& graph, const Node& node) {
  Value out = input(graph, node, 0);
  if (out.channels % 2 != 0) mismatch(node, "its channels have no halves");
  out.channels /= 2;
  return out;
}

Value infer_geglu_backward(const Graph& graph, const Node& node) {
  if (!infer_geglu(graph, node).same_shape(input(graph, node, 1))) {
    mismatch(node, "the derivative is not of the operation's result");
  }
  return input(graph, node, 0);
}

Value infer_resampled(const Graph& graph, const Node& node) {
  Value out = input(graph, node, 0);
  if (node.op != DPM_OP_AVERAGE_POOL && node.op != DPM_OP_FIR_DOWNSAMPLE) {
    const int more = node.op == DPM_OP_FIR_UPSAMPLE ? 2 * attributes<FirUpsample>(node).extension : 0;
    out.height = 2 * out.height + more;
    out.width = 2 * out.width + more;
    return out;
  }
  if (out.height % 2 != 0 || out.width % 2 != 0) mismatch(node, "the map's sides are odd");
  const int lost = node.op == DPM_OP_FIR_DOWNSAMPLE ? 1 - attributes<FirDownsample>(node).padding : 0;
  if (lost < 0 || lost > 1) mismatch(node, "its padding is neither 0 nor 1");
  out.height = out.height / 2 - lost;
  out.width = out.width / 2 - lost;
  if (out.height < 1 || out.width < 1) mismatch(node, "the map is smaller than the filter");
  return out;
}

Value infer_channelwise(const Graph& graph, const Node& node) {
  Value out = input(graph, node, 0);
  if (node.op == DPM_OP_BIAS) expect_dims(node, graph.constants[node.biases[0]], {out.channels});
  if (node.op == DPM_OP_POSITION) {
    expect_dims(node, graph.constants[node.biases[0]], {out.channels, std::int64_t{out.height} * out.width});
  }
  if (node.op == DPM_OP_CHANNEL_ADD) expect_vector(graph, node, out.channels);
  if (node.op == DPM_OP_SCALE_SHIFT) expect_vector(graph, node, 2 * out.channels);
  const bool takes_two = node.op == DPM_OP_ADD || node.op == DPM_OP_ACTIVATION_BACKWARD;
  if (takes_two && !out.same_shape(input(graph, node, 1))) mismatch(node, "the maps differ in shape");
  return out;
}

Value infer_time_embedding(const Graph& graph, const Node& node) {
  const int length = attributes<TimeEmbedding>(node).length;
  if (length < 2) mismatch(node, "an embedding has at least two channels");
  if (!node.weights.empty()) expect_dims(node, graph.constants[node.weights[0]], {length / 2});
  return {length, 1, 1};
}

Value infer_label_score(const Graph& graph, const Node& node) {
  Value out = input(graph, node, 0);
  if (out.height != 1 || out.width != 1) mismatch(node, "logits are a vector, not a map");
  return out;
}

Value infer_convolution_weights(const Graph& graph, const Node& node) {
  const Value& in = input(graph, node, 0);
  const Value& d = input(graph, node, 1);
  const Convolution& how = attributes<Convolution>(node);
  const int more = how.pad_before + how.pad_after - how.kernel;
  const auto side = [&](int from) { return (from + more) / how.stride + 1; };
  if (in.height + more < 0 || in.width + more < 0) mismatch(node, "the map is smaller than the kernel");
  if (d.height != side(in.height) || d.width != side(in.width)) {
    mismatch(node, "the derivative is not of the convolution's result");
  }
  return {d.channels, in.channels, how.kernel * how.kernel};
}

Value infer_embedding_weights(const Graph& graph, const Node& node) {
  const Value& d = input(graph, node, 1);
  if (d.height != 1 || d.width != 1) mismatch(node, "the derivative of a row is a vector, not a map");
  return {attributes<EmbeddingWeights>(node).rows, d.channels, 1};
}

Value infer_group_norm_vector(const Graph& graph, const Node& node) {
  const Value& sums = input(graph, node, 0);
  if (sums.height != 1 || sums.width != 1 || sums.channels % 2 != 0) mismatch(node, "it takes two sums a channel");
  for (const int constant : {node.weights[0], node.biases[0]}) {
    expect_dims(node, graph.constants[constant], {sums.channels / 2});
  }
  return sums;
}

Value infer_square_score(const Graph& graph, const Node& node) {
  const Value& in = input(graph, node, 0);
  if (!in.same_shape(input(graph, node, 1))) mismatch(node, "the target differs from the map in shape");
  if (node.input(3) >= 0 && !in.same_shape(input(graph, node, 3))) {
    mismatch(node, "what is compared with the target differs from it in shape");
  }
  expect_vector(graph, node, 1, 2);
  return in;
}

Value infer(const Graph& graph, const Node& node) {
  switch (node.op) {
    case DPM_OP_CONVOLUTION_WEIGHTS:
      return infer_convolution_weights(graph, node);
    case DPM_OP_EMBEDDING_WEIGHTS:
      return infer_embedding_weights(graph, node);
    case DPM_OP_GROUP_NORM_VECTOR:
      return infer_group_norm_vector(graph, node);
    case DPM_OP_SQUARE_SCORE:
      return infer_square_score(graph, node);
    case DPM_OP_LABEL_SCORE:
      return infer_label_score(graph, node);
    case DPM_OP_TIME_EMBEDDING:
      return infer_time_embedding(graph, node);
    case DPM_OP_EMBEDDING:
      return infer_embedding(graph, node);
    case DPM_OP_CONVOLUTION:
      return infer_convolution(graph, node);
    case DPM_OP_GROUP_NORM:
    case DPM_OP_GROUP_NORM_BACKWARD:
    case DPM_OP_GROUP_NORM_TANGENT:
      return infer_group_norm(graph, node);
    case DPM_OP_ATTENTION:
    case DPM_OP_ATTENTION_BACKWARD:
    case DPM_OP_ATTENTION_TANGENT:
      return infer_attention(graph, node);
    case DPM_OP_VIEW:
      return infer_view(graph, node);
    case DPM_OP_SEPARABLE:
      return infer_separable(graph, node);
    case DPM_OP_CONCAT:
      return infer_concat(graph, node);
    case DPM_OP_UPSAMPLE:
      return infer_upsample(graph, node);
    case DPM_OP_LAYER_NORM:
    case DPM_OP_LAYER_NORM_BACKWARD:
      return infer_layer_norm(graph, node);
    case DPM_OP_GEGLU:
      return infer_geglu(graph, node);
    case DPM_OP_GEGLU_BACKWARD:
      return infer_geglu_backward(graph, node);
    case DPM_OP_DROPOUT:
      return infer_dropout(graph, node);
    case DPM_OP_ZERO_UPSAMPLE:
    case DPM_OP_AVERAGE_POOL:
    case DPM_OP_FIR_UPSAMPLE:
    case DPM_OP_FIR_DOWNSAMPLE:
      return infer_resampled(graph, node);
    default:
      return infer_channelwise(graph, node);
  }
}

/// Number of products of tokens with tokens: the logits, the weighted sum, and for derivatives the logits again; 0 for
/// other operations.
std::uint64_t attention_products(dpm_op op) {
  if (op == DPM_OP_ATTENTION) return 2;
  return op == DPM_OP_ATTENTION_BACKWARD || op == DPM_OP_ATTENTION_TANGENT ? 5 : 0;
}

}  // namespace

bool has_valid_extents(const Value& value) {
  return value.channels >= 1 && value.channels <= kLargestChannels && value.height >= 1 &&
         value.height <= kLargestSide && value.width >= 1 && value.width <= kLargestSide &&
         value.elements() <= kMostElements;
}

std::vector<Value> infer_shapes(const Graph& graph, const Node& node) {
  const Value found = infer(graph, node);
  if (!has_valid_extents(found)) mismatch(node, "the result is too large or empty");
  Value result{found.channels, found.height, found.width};
  // Only sums over rows are shared, whatever they read.
  if (sums_rows(node.op)) result.varies = DPM_VARIES_SHARED;
  if (node.op == DPM_OP_ATTENTION_BACKWARD && is_crossed(graph, node)) {
    const Value& k = input(graph, node, 1);
    return {result, {2 * k.channels, k.height, k.width}};
  }
  if (node.op == DPM_OP_LAYER_NORM_BACKWARD && attributes<LayerNorm>(node).products) return {result, result};
  const bool has_sums = node.op == DPM_OP_GROUP_NORM_BACKWARD && attributes<GroupNorm>(node).sums;
  if (!has_sums) return {result};
  return {result, {2 * found.channels, 1, 1}};
}

std::uint64_t multiply_adds(const Graph& graph, const Node& node) {
  if (const std::uint64_t products = attention_products(node.op); products > 0) {
    const auto tokens = [](const Value& map) {
      return static_cast<std::uint64_t>(map.height) * static_cast<std::uint64_t>(map.width);
    };
    const Value& q = graph.values[node.input(0)];
    return products * tokens(q) * tokens(graph.values[node.input(1)]) * static_cast<std::uint64_t>(q.channels);
  }
  if (node.op != DPM_OP_CONVOLUTION && node.op != DPM_OP_CONVOLUTION_WEIGHTS) return 0;
  const int kernel = attributes<Convolution>(node).kernel;
  const Value& in = graph.values[node.input(0)];
  if (node.op == DPM_OP_CONVOLUTION_WEIGHTS) {
    const std::uint64_t products =
        static_cast<std::uint64_t>(in.channels) * static_cast<std::uint64_t>(kernel * kernel);
    return graph.values[node.input(1)].elements() * products;
  }
  const Value& out = graph.values[node.output()];
  // Every input element meets every tap; multiplications by the inserted zeros do not count.
  if (attributes<Convolution>(node).zero_upsample) {
    return in.elements() * static_cast<std::uint64_t>(out.channels) * static_cast<std::uint64_t>(kernel * kernel);
  }
  return out.elements() * static_cast<std::uint64_t>(in.channels) * static_cast<std::uint64_t>(kernel * kernel);
}

}  // namespace dpm::graph
