#include "devices/cpu/layers/layer.h"

#include <algorithm>

#include "backend/bindings.h"
#include "backend/operation_row.h"

namespace dpm::cpu {

MapView RunContext::map(int value) const {
  const ValueInfo& info = values[value];
  const dpm_value& shape = info.shape;
  const std::ptrdiff_t pixels = static_cast<std::ptrdiff_t>(shape.height) * shape.width;
  MapView view;
  view.channels = shape.channels;
  view.height = shape.height;
  view.width = shape.width;
  if (is_bound(shape)) {
    const dpm_view& bound = bindings.views[shape.binding];
    view.data = Handle::of(bound.buffer).memory.floats() + bound.offset;
    view.sample_stride = static_cast<std::ptrdiff_t>(bound.stride);
    // The channels of a single-pixel map are adjacent, and its next pixel is that of the next sample.
    view.pixel_stride = pixels == 1 ? view.sample_stride : 1;
    view.channel_stride = pixels;
    if (shape.varies == DPM_VARIES_GROUP) view.groups = groups();
    if (view.groups == nullptr) view.data += first_row * view.sample_stride;
    return view;
  }
  view.data = arena + static_cast<std::uint64_t>(planned_batch) * offsets[value] + info.root_offset;
  view.sample_stride = pixels * info.root_channels;
  view.pixel_stride = info.root_channels;
  return view;
}

const void* RunContext::bound(int binding) const {
  if (binding < 0) return nullptr;
  const dpm_view& bound = bindings.views[binding];
  if (bound.buffer == nullptr) return nullptr;
  return Handle::of(bound.buffer).memory.floats() + bound.offset + first_row;
}

const std::uint32_t* RunContext::groups() const {
  if (bindings.groups.buffer == nullptr) return nullptr;
  const float* first = Handle::of(bindings.groups.buffer).memory.floats() + bindings.groups.offset;
  return reinterpret_cast<const std::uint32_t*>(first) + first_row;
}

namespace {

bool has_bound(const dpm_graph& graph, int value) { return value >= 0 && is_bound(graph.values[value]); }

bool takes_any(const dpm_graph& /*graph*/, const dpm_node& /*node*/) { return true; }

/// Returns whether all values of a node are maps of the arena, none a tensor of the caller.
bool takes_maps(const dpm_graph& graph, const dpm_node& node) {
  const auto bound = [&](int value) { return has_bound(graph, value); };
  return std::none_of(node.inputs, node.inputs + node.input_count, bound) &&
         std::none_of(node.outputs, node.outputs + node.output_count, bound);
}

bool takes_norm(const dpm_graph& graph, const dpm_node& node) {
  // A vector and second bias before a norm are left to the convolution, which adds them in registers.
  return input_of(node, 2) < 0 && node.bias_count <= 1 && takes_maps(graph, node);
}

bool takes_convolution(const dpm_graph& graph, const dpm_node& node) {
  const dpm_convolution_attributes& how = node.attributes.convolution;
  const auto bound = [&](std::uint32_t input) { return has_bound(graph, input_of(node, input)); };
  // Convolutions already use all threads, so running one beside others gains nothing.
  if (how.beside != 0 || how.zero_upsample != 0 || bound(1) || bound(2)) return false;
  // Only kernels larger than one lay out their input, which an enlarged or bound input needs.
  return how.kernel > 1 || (how.upsample == 0 && how.stride == 1 && !bound(0));
}

bool takes_condition(const dpm_graph& graph, const dpm_node& node) {
  return is_condition(graph, graph.values[input_of(node, 0)]);
}

bool takes_logits(const dpm_graph& graph, const dpm_node& node) {
  return !has_bound(graph, input_of(node, 0)) && !has_bound(graph, output_of(node));
}

constexpr OperationRow<Layer, LayerFactory> kRows[] = {
    {DPM_OP_TIME_EMBEDDING, takes_condition, make_embedding},
    {DPM_OP_EMBEDDING, takes_condition, make_embedding},
    {DPM_OP_LABEL_SCORE, takes_logits, make_embedding},
    {DPM_OP_CONVOLUTION, takes_convolution, make_convolution},
    {DPM_OP_GROUP_NORM, takes_norm, make_group_norm},
    {DPM_OP_GROUP_NORM_BACKWARD, takes_maps, make_norm_derivative, 2},
    {DPM_OP_GROUP_NORM_TANGENT, takes_maps, make_norm_derivative},
    {DPM_OP_ATTENTION, takes_maps, make_attention},
    {DPM_OP_ATTENTION_BACKWARD, takes_maps, make_attention_derivative, 2},
    {DPM_OP_ATTENTION_TANGENT, takes_maps, make_attention_derivative},
    {DPM_OP_AFFINE, takes_any, make_channelwise},
    {DPM_OP_BIAS, takes_any, make_channelwise},
    {DPM_OP_CHANNEL_ADD, takes_maps, make_channelwise},
    {DPM_OP_SCALE_SHIFT, takes_maps, make_channelwise},
    {DPM_OP_SILU, takes_maps, make_channelwise},
    {DPM_OP_ACTIVATION, takes_maps, make_channelwise},
    {DPM_OP_ACTIVATION_BACKWARD, takes_maps, make_activation_backward},
    {DPM_OP_ADD, takes_maps, make_channelwise},
    {DPM_OP_POSITION, takes_maps, make_channelwise},
    {DPM_OP_CONCAT, takes_maps, make_resample},
    {DPM_OP_VIEW, takes_maps, make_resample},
    {DPM_OP_UPSAMPLE, takes_maps, make_resample},
    {DPM_OP_ZERO_UPSAMPLE, takes_maps, make_resample},
    {DPM_OP_AVERAGE_POOL, takes_maps, make_resample},
    {DPM_OP_FIR_UPSAMPLE, takes_maps, make_fir},
    {DPM_OP_FIR_DOWNSAMPLE, takes_maps, make_fir},
    {DPM_OP_SEPARABLE, takes_maps, make_separable},
    {DPM_OP_CONVOLUTION_WEIGHTS, takes_any, make_convolution_weights},
    {DPM_OP_ROW_SUM, takes_any, make_row_sum},
    {DPM_OP_EMBEDDING_WEIGHTS, takes_condition, make_embedding},
    {DPM_OP_GROUP_NORM_VECTOR, takes_maps, make_norm_vector},
    {DPM_OP_SQUARE_SCORE, takes_any, make_square_score},
    {DPM_OP_LAYER_NORM, takes_maps, make_layer_norm},
    {DPM_OP_GEGLU, takes_maps, make_geglu},
    {DPM_OP_DROPOUT, takes_any, make_dropout},
    {DPM_OP_LAYER_NORM_BACKWARD, takes_maps, make_layer_norm, 2},
    {DPM_OP_GEGLU_BACKWARD, takes_maps, make_geglu},
};

}  // namespace

bool supports(const dpm_graph& graph, const dpm_node& node) { return row_of(kRows, node, graph) != nullptr; }

std::unique_ptr<Layer> make_layer(const LayerFactory& factory, const dpm_node& node) {
  return make_by(row_of(kRows, node, factory.graph), factory, node, "cpu");
}

}  // namespace dpm::cpu
