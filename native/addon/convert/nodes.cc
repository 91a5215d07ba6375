#include "addon/convert/nodes.h"

#include <algorithm>
#include <string>

#include "addon/convert/objects.h"
#include "graph/operation.h"

namespace dpm::addon {
namespace {

/// Describes a value and its place in its storage; null where there is none.
Napi::Value map_of(Napi::Env env, const graph::Graph& graph, int index) {
  if (index < 0) return env.Null();
  const graph::Value& value = graph.values[static_cast<std::size_t>(index)];
  int first_channel = 0;
  for (int at = index; graph.values[static_cast<std::size_t>(at)].parent >= 0;) {
    first_channel += graph.values[static_cast<std::size_t>(at)].channel_offset;
    at = graph.values[static_cast<std::size_t>(at)].parent;
  }
  const graph::Value& root = graph.values[static_cast<std::size_t>(graph.root(index))];
  Napi::Object map = Napi::Object::New(env);
  set_number(map, "value", index);
  set_number(map, "channels", value.channels);
  set_number(map, "height", value.height);
  set_number(map, "width", value.width);
  set_number(map, "storage", graph.root(index));
  set_number(map, "firstChannel", first_channel);
  set_number(map, "pixelStride", root.channels);
  map.Set("role", Napi::String::New(
                      env, root.is_bound() ? graph.bindings[static_cast<std::size_t>(root.binding)].name : "internal"));
  return map;
}

/// Writes the attributes of a node's own operation.
struct AttributeWriter {
  Napi::Object& object;

  void operator()(std::monostate /*none*/) const {}
  void operator()(const graph::TimeEmbedding& own) const {
    number("length", own.length);
    number("frequencyShift", own.frequency_shift);
    text("order", own.cosine_first ? "cos-sin" : "sin-cos");
    flag("logarithmic", own.logarithmic);
    number("groups", own.length);
  }
  void operator()(const graph::Convolution& own) const {
    number("kernel", own.kernel);
    number("stride", own.stride);
    number("padBefore", own.pad_before);
    number("padAfter", own.pad_after);
    number("scale", own.scale);
    flag("upsample", own.upsample);
    flag("silu", own.silu);
    flag("beside", own.beside);
    flag("zeroUpsample", own.zero_upsample);
  }
  void operator()(const graph::GroupNorm& own) const {
    number("groups", own.groups);
    number("epsilon", own.epsilon);
    flag("silu", own.silu);
  }
  void operator()(const graph::LayerNorm& own) const { number("epsilon", own.epsilon); }
  void operator()(const graph::Attention& own) const {
    number("heads", own.heads);
    flag("causal", own.causal);
  }
  void operator()(const graph::Affine& own) const {
    number("scale", own.scale);
    number("shift", own.shift);
  }
  void operator()(const graph::Upsample& own) const {
    number("height", own.height);
    number("width", own.width);
  }
  void operator()(const graph::FirUpsample& own) const { number("extension", own.extension); }
  void operator()(const graph::FirDownsample& own) const {
    number("padBefore", own.padding);
    number("padAfter", own.padding);
  }
  void operator()(const graph::Activation& own) const {
    constexpr const char* kKinds[] = {"mish", "gelu", "relu", "silu", "quick_gelu", "tanh"};
    text("kind", kKinds[own.kind]);
  }
  void operator()(const graph::View& own) const {
    number("first", own.first);
    number("channels", own.channels);
    number("height", own.height);
    number("width", own.width);
  }
  void operator()(const graph::EmbeddingWeights& own) const { number("rows", own.rows); }
  void operator()(const graph::Dropout& own) const { number("rate", own.rate); }

  template <typename Number>
  void number(const char* key, Number value) const {
    set_number(object, key, value);
  }
  void flag(const char* key, bool value) const { object.Set(key, Napi::Boolean::New(object.Env(), value)); }
  void text(const char* key, const char* value) const { object.Set(key, Napi::String::New(object.Env(), value)); }
};

/// Sets the attributes that every node has in JavaScript; a node without one of them gets its neutral value.
void set_attributes(const graph::Node& node, Napi::Object& object) {
  AttributeWriter writer{object};
  writer(graph::Convolution{});
  writer(graph::Attention{});
  writer.number("groups", 0);
  std::visit(writer, node.attributes);
}

Napi::Array names_of(Napi::Env env, const graph::Graph& graph, const std::vector<int>& constants) {
  Napi::Array names = Napi::Array::New(env, constants.size());
  for (std::uint32_t i = 0; i < constants.size(); ++i) {
    names.Set(i, Napi::String::New(env, graph.constants[static_cast<std::size_t>(constants[i])].name));
  }
  return names;
}

Napi::Object node_of(Napi::Env env, const graph::Graph& graph, const graph::Node& node) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", Napi::String::New(env, node.name));
  object.Set("op", Napi::String::New(env, graph::operation_of(node.op).name));
  // The list is padded to the number of inputs that most operations have.
  const auto count = std::max<std::uint32_t>(3, static_cast<std::uint32_t>(node.inputs.size()));
  Napi::Array inputs = Napi::Array::New(env, count);
  for (std::uint32_t i = 0; i < count; ++i) inputs.Set(i, map_of(env, graph, node.input(i)));
  object.Set("inputs", inputs);
  object.Set("output", map_of(env, graph, node.output()));
  std::int64_t weights = 0;
  for (const int weight : node.weights) weights += graph.constants[static_cast<std::size_t>(weight)].elements();
  set_number(object, "parts", node.weights.empty() ? node.biases.size() : node.weights.size());
  set_number(object, "weightElements", weights);
  set_number(object, "multiplyAdds", graph::multiply_adds(graph, node));
  object.Set("bias", Napi::Boolean::New(env, !node.biases.empty()));
  object.Set("weights", names_of(env, graph, node.weights));
  object.Set("biases", names_of(env, graph, node.biases));
  set_attributes(node, object);
  return object;
}

}  // namespace

Napi::Array to_nodes(Napi::Env env, const graph::Graph& graph) {
  Napi::Array array = Napi::Array::New(env, graph.nodes.size());
  for (std::uint32_t i = 0; i < graph.nodes.size(); ++i) array.Set(i, node_of(env, graph, graph.nodes[i]));
  return array;
}

}  // namespace dpm::addon
