#include "addon/convert/nodes.h"

#include <array>

namespace dpm::addon {
namespace {

constexpr std::array kOperations = {"time_embedding", "embedding",    "convolution",  "group_norm",
                                    "attention",      "bias",         "channel_add",  "scale_shift",
                                    "silu",           "add",          "affine",       "concat",
                                    "upsample",       "average_pool", "fir_upsample", "fir_downsample"};
static_assert(kOperations.size() == DPM_OP_FIR_DOWNSAMPLE + 1);

constexpr std::array kRoles = {"internal", "image", "time", "label", "output", "head"};
static_assert(kRoles.size() == DPM_ROLE_HEAD + 1);

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
  const auto set = [&](const char* key, int number) { map.Set(key, Napi::Number::New(env, number)); };
  set("value", index);
  set("channels", value.channels);
  set("height", value.height);
  set("width", value.width);
  set("firstChannel", first_channel);
  set("pixelStride", root.channels);
  map.Set("role", Napi::String::New(env, kRoles[static_cast<std::size_t>(root.role)]));
  return map;
}

Napi::Object node_of(Napi::Env env, const graph::Graph& graph, const graph::Node& node) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* key, double number) { object.Set(key, Napi::Number::New(env, number)); };
  object.Set("name", Napi::String::New(env, node.name));
  object.Set("op", Napi::String::New(env, kOperations[static_cast<std::size_t>(node.op)]));
  Napi::Array inputs = Napi::Array::New(env, node.inputs.size());
  for (std::uint32_t i = 0; i < node.inputs.size(); ++i) inputs.Set(i, map_of(env, graph, node.inputs[i]));
  object.Set("inputs", inputs);
  object.Set("output", map_of(env, graph, node.output));
  std::int64_t weights = 0;
  for (const int weight : node.weights) weights += graph.constants[static_cast<std::size_t>(weight)].elements();
  set("parts", static_cast<double>(graph::LoweredGraph::lower(node).parts));
  set("weightElements", static_cast<double>(weights));
  set("multiplyAdds", static_cast<double>(graph::multiply_adds(graph, node)));
  set("kernel", node.kernel);
  set("stride", node.stride);
  set("padBefore", node.pad_before);
  set("padAfter", node.pad_after);
  set("heads", node.heads);
  set("groups", node.groups);
  set("scale", node.scale);
  object.Set("bias", Napi::Boolean::New(env, !node.biases.empty()));
  object.Set("upsample", Napi::Boolean::New(env, node.upsample));
  object.Set("silu", Napi::Boolean::New(env, node.silu));
  return object;
}

}  // namespace

Napi::Array to_nodes(Napi::Env env, const graph::Graph& graph) {
  Napi::Array array = Napi::Array::New(env, graph.nodes.size());
  for (std::uint32_t i = 0; i < graph.nodes.size(); ++i) array.Set(i, node_of(env, graph, graph.nodes[i]));
  return array;
}

}  // namespace dpm::addon
