#include "cuda/execution/network.h"

#include <algorithm>
#include <string>

#include "backend/bindings.h"
#include "cuda/execution/update_arguments.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {

namespace {

/// Returns the tensor with a row for each sample that a graph reads or writes under a name.
Network::Bound bound_as(const dpm_graph& graph, dpm_direction direction, const char* name) {
  const int binding = find_binding(graph, name);
  if (binding < 0 || graph.bindings[binding].direction != direction) return {};
  const int value = graph.bindings[binding].value;
  if (graph.values[value].varies == DPM_VARIES_SHARED) return {};
  return {binding, value};
}

Network::Bound read_as(const dpm_graph& graph, const char* name) { return bound_as(graph, DPM_DIRECTION_INPUT, name); }

Network::Bound written_as(const dpm_graph& graph, const char* name) {
  return bound_as(graph, DPM_DIRECTION_OUTPUT, name);
}

std::array<Network::Bound, kMostGiven> given_to(const dpm_graph& graph) {
  return {read_as(graph, DPM_BINDING_OUTPUT_COTANGENT), read_as(graph, DPM_BINDING_HEAD_COTANGENT),
          read_as(graph, DPM_BINDING_IMAGE_TANGENT),    read_as(graph, DPM_BINDING_TARGET),
          read_as(graph, DPM_BINDING_LOSS_WEIGHT),      read_as(graph, DPM_BINDING_DRAWS),
          read_as(graph, DPM_BINDING_CONTEXT),          read_as(graph, DPM_BINDING_ADDED),
          read_as(graph, DPM_BINDING_GUIDANCE)};
}

std::array<Network::Bound, kMostDerived> derived_by(const dpm_graph& graph) {
  return {written_as(graph, DPM_BINDING_IMAGE_COTANGENT),  written_as(graph, DPM_BINDING_CONTEXT_COTANGENT),
          written_as(graph, DPM_BINDING_OUTPUT_TANGENT),   written_as(graph, DPM_BINDING_HEAD_TANGENT),
          written_as(graph, DPM_BINDING_OUTPUT_COTANGENT), written_as(graph, DPM_BINDING_HEAD_COTANGENT)};
}

std::vector<Network::Bound> sums_of(const dpm_graph& graph) {
  std::vector<Network::Bound> sums;
  for (int i = 0; i < static_cast<int>(graph.value_count); ++i) {
    const dpm_value& value = graph.values[i];
    if (value.varies == DPM_VARIES_SHARED) sums.push_back({value.binding, i});
  }
  return sums;
}

/// Throws Error(kUnsupported) where the type cannot hold what the graph computes.
void check_type(const dpm_graph& graph, DType dtype) {
  if (dtype != DType::kFloat16 || find_binding(graph, DPM_BINDING_LOSS_WEIGHT) < 0) return;
  throw Error(ErrorCode::kUnsupported, "cotangents of a mean loss are too small for f16: train in f32 or bf16");
}

/// Returns the index of the first node from `first` on that reads `value`.
int reader_of(const dpm_graph& graph, std::uint32_t first, int value) {
  for (std::uint32_t i = first; i < graph.node_count; ++i) {
    const dpm_node& node = graph.nodes[i];
    if (std::find(node.inputs, node.inputs + node.input_count, value) != node.inputs + node.input_count) {
      return static_cast<int>(i);
    }
  }
  throw Error(ErrorCode::kInternal, "nobody reads what runs beside others");
}

int joined_by_of(const dpm_graph& graph, std::uint32_t index) {
  const dpm_node& node = graph.nodes[index];
  const bool is_beside = node.op == DPM_OP_CONVOLUTION && node.attributes.convolution.beside != 0;
  return is_beside ? reader_of(graph, index + 1, output_of(node)) : -1;
}

/// Returns the index of the node that writes input 0 of a convolution, if it is a norm that has no other reader and
/// writes no part of a wider map.
int norm_before_of(const dpm_graph& graph, std::uint32_t index) {
  const dpm_node& node = graph.nodes[index];
  const int read = input_of(node, 0);
  if (node.op != DPM_OP_CONVOLUTION || is_bound(graph.values[read]) || graph.values[read].parent >= 0) return -1;
  int norm = -1;
  int readers = 0;
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    const dpm_node& other = graph.nodes[i];
    readers += static_cast<int>(std::count(other.inputs, other.inputs + other.input_count, read));
    if (other.op == DPM_OP_GROUP_NORM && output_of(other) == read) norm = static_cast<int>(i);
  }
  return readers == 1 ? norm : -1;
}

bool norm_follows_of(const dpm_graph& graph, std::uint32_t index) {
  const dpm_node& node = graph.nodes[index];
  if (index + 1 == graph.node_count || node.op != DPM_OP_CONVOLUTION) return false;
  const dpm_node& next = graph.nodes[index + 1];
  return node.attributes.convolution.beside == 0 && next.op == DPM_OP_GROUP_NORM &&
         input_of(next, 0) == output_of(node);
}

}  // namespace

Network::Network(Device& owner, const dpm_graph& graph)
    : device(owner),
      bindings(graph.binding_count),
      image(read_as(graph, DPM_BINDING_IMAGE)),
      time(read_as(graph, DPM_BINDING_TIME)),
      label(read_as(graph, DPM_BINDING_LABEL)),
      output(written_as(graph, DPM_BINDING_OUTPUT)),
      head(written_as(graph, DPM_BINDING_HEAD)),
      given(given_to(graph)),
      derived(derived_by(graph)),
      values(infos_of(graph, owner.settings)),
      sums(sums_of(graph)),
      conditions(graph, values),
      repacks(owner) {
  check_type(graph, owner.settings.dtype);
  for (int i = 0; i < static_cast<int>(graph.binding_count); ++i) {
    const auto is_standard = [&](const Bound& bound) { return bound.binding == i; };
    if (is_standard(image) || is_standard(time) || is_standard(label) || is_standard(output) || is_standard(head)) {
      continue;
    }
    if (std::any_of(given.begin(), given.end(), is_standard)) continue;
    if (std::any_of(derived.begin(), derived.end(), is_standard)) continue;
    if (std::any_of(sums.begin(), sums.end(), is_standard)) continue;
    throw Error(ErrorCode::kUnsupported,
                std::string("the cuda device knows no tensor called ") + graph.bindings[i].name);
  }
  device.weights.forget_released();
  const LayerFactory factory{device, graph, values, moving};
  layers.reserve(graph.node_count);
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    layers.push_back(make_layer(factory, graph.nodes[i]));
    names.emplace_back(graph.nodes[i].name);
    joined_by.push_back(joined_by_of(graph, i));
    norm_before.push_back(norm_before_of(graph, i));
    norm_follows.push_back(norm_follows_of(graph, i));
  }
  // Waiting here reports errors of the copies as errors of the loading.
  device.stream.wait();
}

void Network::repack(const dpm_repack& request) {
  const float* parameters = rows_of(request.parameters).data;
  const auto queue = [&] {
    for (const MovingWeights& weights : moving) {
      if (!weights.is_of(request.version)) weights.repack(parameters, device.stream.get());
    }
    // Another network may have packed what is shared, but not what this one's layers have made of it.
    for (const auto& layer : layers) layer->follow_weights();
  };
  GraphKey key;
  key.add(parameters);
  for (const MovingWeights& weights : moving) key.add(weights.packed->data()).add(weights.is_of(request.version));
  for (const auto& layer : layers) key.add(layer->follower());
  if (repacks.count(key) < 2) {
    queue();
  } else {
    repacks.run(key, queue);
  }
  for (const MovingWeights& weights : moving) weights.packed->version = request.version;
  check_launches("packing weights");
}

}  // namespace dpm::cuda
