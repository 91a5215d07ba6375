#include "addon/convert/nodes.h"

#include <algorithm>
#include <string>

#include "addon/convert/objects.h"
#include "graph/operation.h"

namespace dpm::addon {
namespace {

/// What a value is and where in its storage it lies; null where there is none.
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
  set_number(map, "firstChannel", first_channel);
  set_number(map, "pixelStride", root.channels);
  map.Set("role", Napi::String::New(
                      env, root.is_bound() ? graph.bindings[static_cast<std::size_t>(root.binding)].name : "internal"));
  return map;
}

/// Those of every operation, with what a node without them would have.
void set_attributes(Napi::Env env, const graph::Node& node, Napi::Object& object) {
  const auto* convolution = std::get_if<graph::Convolution>(&node.attributes);
  const auto* norm = std::get_if<graph::GroupNorm>(&node.attributes);
  const auto* embedding = std::get_if<graph::TimeEmbedding>(&node.attributes);
  const auto* attention = std::get_if<graph::Attention>(&node.attributes);
  const auto* affine = std::get_if<graph::Affine>(&node.attributes);
  const auto* filter = std::get_if<graph::FirDownsample>(&node.attributes);
  const graph::Convolution how = convolution != nullptr ? *convolution : graph::Convolution{};
  set_number(object, "kernel", how.kernel);
  set_number(object, "stride", how.stride);
  set_number(object, "padBefore", filter != nullptr ? filter->padding : how.pad_before);
  set_number(object, "padAfter", filter != nullptr ? filter->padding : how.pad_after);
  set_number(object, "heads", attention != nullptr ? attention->heads : 1);
  set_number(object, "groups", norm != nullptr ? norm->groups : embedding != nullptr ? embedding->length : 0);
  set_number(object, "scale", affine != nullptr ? affine->scale : how.scale);
  object.Set("upsample", Napi::Boolean::New(env, how.upsample));
  object.Set("silu", Napi::Boolean::New(env, how.silu || (norm != nullptr && norm->silu)));
}

Napi::Object node_of(Napi::Env env, const graph::Graph& graph, const graph::Node& node) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", Napi::String::New(env, node.name));
  object.Set("op", Napi::String::New(env, graph::operation_of(node.op).name));
  // As many as most operations have, however many are left out.
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
  set_attributes(env, node, object);
  return object;
}

}  // namespace

Napi::Array to_nodes(Napi::Env env, const graph::Graph& graph) {
  Napi::Array array = Napi::Array::New(env, graph.nodes.size());
  for (std::uint32_t i = 0; i < graph.nodes.size(); ++i) array.Set(i, node_of(env, graph, graph.nodes[i]));
  return array;
}

}  // namespace dpm::addon
