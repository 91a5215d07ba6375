#include "random_graph.h"

#include <algorithm>
#include <array>
#include <limits>

#include "evaluate_network.h"

namespace dpm::test {
namespace {

constexpr std::array kChannels = {1, 3, 4, 8, 16, 24, 64};
constexpr std::array kSides = {1, 2, 4, 5, 8, 12};
constexpr int kMostElements = 64 * 24 * 24;
constexpr int kWidestHead = 64;
/// Limit of tokens, whose square attention's time grows with: the largest map of one channel would take minutes.
constexpr int kMostTokens = 48 * 48;

}  // namespace

RandomGraph::RandomGraph(std::function<int(int)> choose, Kind kind) : choose_(std::move(choose)) {
  batch_ = 1 + choose_(4);
  const auto side = [this] { return kSides[static_cast<std::size_t>(choose_(kSides.size()))]; };
  const int height = side();
  const int image = maker_.image(1 + choose_(4), height, one_in(3) ? side() : height);
  add_conditions();
  keep(one_in(2) ? maker_.enter(image)
                 : maker_.bias(maker_.convolution(image, kChannels[static_cast<std::size_t>(choose_(kChannels.size()))],
                                                  same_size(3))));
  const int nodes = 3 + choose_(14);
  for (int i = 0; i < nodes; ++i) {
    if (kind != kDifferentiable && one_in(5)) grow_underivable(pick());
    grow();
  }
  finish();
  if (kind == kHostile) spoil();
}

void RandomGraph::add_conditions() {
  const int length = 4 * (1 + choose_(6));
  time_ = maker_.time();
  graph::Node embedding = graph::make_node(DPM_OP_TIME_EMBEDDING, "time", {time_},
                                           graph::TimeEmbedding{length, one_in(2) ? 1.0F : 0.0F, one_in(2), one_in(4)});
  if (one_in(3)) embedding.weights = {maker_.constant({length / 2}, 0.1F)};
  vectors_.push_back(maker_.add(std::move(embedding)));
  if (!one_in(2)) return;
  options_.classes = 3;
  vectors_.push_back(maker_.sum(vectors_[0], maker_.row(maker_.label(), 3, length)));
  options_.divides_by_time = one_in(4);
}

void RandomGraph::keep(int value) {
  const graph::Value& made = shape(value);
  (made.height * made.width == 1 && one_in(2) ? vectors_ : maps_).push_back(value);
  if (maps_.empty()) maps_.push_back(value);
}

int RandomGraph::pick() {
  const int count = static_cast<int>(maps_.size());
  return maps_[static_cast<std::size_t>(one_in(3) ? choose_(count) : count - 1 - choose_(std::min(count, 3)))];
}

int RandomGraph::partner(int value) {
  std::vector<int> others;
  for (const int other : maps_) {
    if (shape(other).same_shape(shape(value))) others.push_back(other);
  }
  return others.empty() ? value : any_of(others);
}

int RandomGraph::vector_for(int channels) {
  int vector = any_of(vectors_);
  if (one_in(2)) vector = maker_.silu(vector);
  vector = maker_.convolution(vector, channels, {});
  return one_in(3) ? vector : maker_.bias(vector);
}

int RandomGraph::groups_for(int channels) { return channels % 4 == 0 && one_in(2) ? 4 : channels % 2 == 0 ? 2 : 1; }

int RandomGraph::convolution(int x) {
  constexpr std::array kKernels = {1, 1, 3, 3, 3, 5};
  graph::Convolution how = same_size(kKernels[static_cast<std::size_t>(choose_(kKernels.size()))]);
  if (how.kernel > 1 && shape(x).height >= how.kernel && shape(x).width >= how.kernel && one_in(4)) {
    how.stride = 2;
    how.pad_before = choose_(how.kernel);
  }
  const int outputs = one_in(2) ? shape(x).channels : kChannels[static_cast<std::size_t>(choose_(kChannels.size()))];
  const int product = maker_.convolution(x, outputs, how);
  return one_in(3) ? product : maker_.bias(product);
}

int RandomGraph::resampled(int x) {
  const bool even = shape(x).height % 2 == 0 && shape(x).width % 2 == 0;
  const bool larger = shape(x).height > 2 && shape(x).width > 2;
  if (!even || one_in(2)) return maker_.add(one_in(2) ? DPM_OP_UPSAMPLE : DPM_OP_FIR_UPSAMPLE, {x});
  if (one_in(2)) return maker_.add(DPM_OP_AVERAGE_POOL, {x});
  return maker_.add(DPM_OP_FIR_DOWNSAMPLE, {x}, graph::FirDownsample{larger && one_in(2) ? 0 : 1});
}

int RandomGraph::attention(int x) {
  const int channels = shape(x).channels;
  const auto operand = [&] { return one_in(3) ? partner(x) : maker_.bias(maker_.convolution(x, channels, {})); };
  const int query = operand();
  const int key = operand();
  const int value = operand();
  const int heads = channels > kWidestHead || (channels % 4 == 0 && one_in(2)) ? 4 : 1;
  return maker_.attention(query, key, value, heads);
}

int RandomGraph::crossed_attention(int x) {
  const int channels = shape(x).channels;
  const bool causal = one_in(3);
  const int queries = shape(x).height * shape(x).width;
  const int keys = causal ? queries : kSides[static_cast<std::size_t>(choose_(kSides.size()))];
  const int tokens = causal ? x : maker_.separable(x, keys, 1);
  const auto operand = [&] { return maker_.bias(maker_.convolution(tokens, channels, {})); };
  std::vector<int> inputs = {maker_.convolution(x, channels, {}), operand(), operand()};
  if (one_in(2)) inputs.push_back(vector_for(keys));
  const int heads = channels > kWidestHead || (channels % 4 == 0 && one_in(2)) ? 4 : 1;
  return maker_.add(DPM_OP_ATTENTION, inputs, graph::Attention{heads, causal});
}

void RandomGraph::grow_underivable(int x) {
  const auto side = [this] { return kSides[static_cast<std::size_t>(choose_(kSides.size()))]; };
  switch (choose_(6)) {
    case 0:
      // Epsilon limits the amplification of nearly constant pixels.
      return keep(maker_.layer_norm(x, 1e-1F));
    case 1:
      if (shape(x).channels % 2 != 0) return;
      return keep(maker_.add(DPM_OP_GEGLU, {x}));
    case 2: {
      const int height = side();
      return keep(maker_.add(DPM_OP_UPSAMPLE, {x}, graph::Upsample{height, side()}));
    }
    case 3:
      return keep(maker_.activation(x, one_in(2) ? DPM_ACTIVATION_QUICK_GELU : DPM_ACTIVATION_TANH));
    case 4:
      return keep(
          maker_.add(DPM_OP_DROPOUT, {x, maker_.whole_numbers(time_, 1000, 8, 256)}, graph::Dropout{0.3F, 16, 7}));
    default:
      if (shape(x).height * shape(x).width > kMostTokens / 4) return;
      return keep(crossed_attention(x));
  }
}

void RandomGraph::grow() {
  const int x = pick();
  const int channels = shape(x).channels;
  switch (choose_(16)) {
    case 0:
      return keep(maker_.silu(x));
    case 1:
      return keep(maker_.affine(x, one_in(2) ? 0.7F : -1.5F, one_in(2) ? 0.0F : 0.25F));
    case 2:
      return keep(maker_.sum(x, partner(x)));
    case 3:
      // Epsilon limits the amplification of nearly constant maps, and of the devices' different rounding.
      return keep(maker_.norm(x, groups_for(channels), 1e-2F));
    case 4:
      return keep(maker_.add(DPM_OP_CHANNEL_ADD, {x, vector_for(channels)}));
    case 5:
      return keep(maker_.add(DPM_OP_SCALE_SHIFT, {x, vector_for(2 * channels)}));
    case 6:
      if (channels > kChannels.back()) return;
      return keep(maker_.add(DPM_OP_CONCAT, {x, partner(x)}));
    case 7:
      if (shape(x).elements() > kMostElements / 4) return;
      return keep(resampled(x));
    case 8:
      if (shape(x).height * shape(x).width > kMostTokens) return;
      return keep(attention(x));
    case 9:
      return keep(maker_.bias(x));
    case 10:
      return keep(maker_.activation(x, static_cast<dpm_activation>(choose_(3))));
    case 13:
      return keep(maker_.separable(x, kSides[static_cast<std::size_t>(choose_(kSides.size()))],
                                   kSides[static_cast<std::size_t>(choose_(kSides.size()))]));
    case 14:
      return keep(maker_.position(x));
    case 15:
      return keep(maker_.view(x, 1, shape(x).height * shape(x).width));
    default:
      return keep(convolution(x));
  }
}

void RandomGraph::finish() {
  // Outputs have the size of the input's image, which programs need; an evaluation would take any.
  const auto result = [this](const char* name) {
    const int out = maker_.bias(maker_.convolution(pick(), 1 + choose_(4), same_size(3)));
    maker_.graph().bind_output(out, name);
  };
  result(DPM_BINDING_OUTPUT);
  if (one_in(3)) result(DPM_BINDING_HEAD);
}

void RandomGraph::spoil() {
  graph::Graph& graph = maker_.graph();
  const auto any_number = [this] { return choose_(256) - 64; };
  graph::Node& node = graph.nodes[static_cast<std::size_t>(choose_(static_cast<int>(graph.nodes.size())))];
  graph::Value& value = graph.values[static_cast<std::size_t>(choose_(static_cast<int>(graph.values.size())))];
  switch (choose_(12)) {
    case 0:
      node.inputs[0] = any_number();
      return;
    case 1:
      node.set_input(static_cast<std::size_t>(choose_(5)), any_number());
      return;
    case 2:
      node.outputs[0] = any_number();
      return;
    case 3:
      node.outputs.push_back(any_number());
      return;
    case 4:
      node.weights.push_back(any_number());
      return;
    case 5:
      node.biases = {any_number()};
      return;
    case 6:
      node.op = static_cast<dpm_op>(choose_(DPM_OP_COUNT + 8));
      return;
    case 7:
      node.attributes = graph::Convolution{any_number(),
                                           any_number(),
                                           any_number(),
                                           any_number(),
                                           one_in(2),
                                           one_in(2),
                                           std::numeric_limits<float>::infinity()};
      return;
    case 8:
      value.channels = any_number() * 65536;
      return;
    case 9:
      value.parent = any_number();
      return;
    case 10:
      value.binding = any_number();
      return;
    default:
      std::swap(graph.nodes.front(), graph.nodes.back());
  }
}

Network RandomGraph::network(const std::shared_ptr<Device>& device, Derivative derivative,
                             graph::Recompute recompute) const {
  NetworkOptions options = options_;
  options.derivative = derivative;
  options.recompute = recompute;
  return {device, graph(), options};
}

std::vector<float> RandomGraph::run(const std::shared_ptr<Device>& device) const {
  Network made = network(device);
  return evaluate_twice(made, batch_);
}

}  // namespace dpm::test
