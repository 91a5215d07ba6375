#include "cuda/layers/layer.h"

#include "backend/bindings.h"
#include "backend/constant.h"
#include "backend/operation_row.h"
#include "backend/storage_root.h"
#include "core/error.h"
#include "cuda/kernels/attention.h"
#include "cuda/kernels/convert.h"
#include "cuda/layers/prediction.h"

namespace dpm::cuda {
namespace {

/// Pads the few channels of images and outputs to 16 bytes, the unit in which tensor cores read.
int padded_channels(const dpm_graph& graph, const dpm_value& value, DType stored, DType dtype) {
  const int terms = graph.bindings[value.binding].direction == DPM_DIRECTION_INPUT
                        ? with_storage(dtype, [](auto type) { return kImageTerms<decltype(type)>; })
                        : 1;
  const int quantum = static_cast<int>(16 / dtype_size(stored));
  return (terms * value.channels + quantum - 1) / quantum * quantum;
}

bool is_product_of_vectors(const dpm_graph& graph, const dpm_node& node) {
  const dpm_value& in = graph.values[input_of(node, 0)];
  const dpm_value& out = graph.values[output_of(node)];
  const dpm_convolution_attributes& how = convolution_of(node);
  return how.kernel == 1 && how.stride == 1 && input_of(node, 1) < 0 && input_of(node, 2) < 0 && in.height == 1 &&
         in.width == 1 && out.height == 1 && out.width == 1 && !is_bound(out);
}

}  // namespace

int stored_channels(const ValueInfo& value) {
  return is_bound(value.shape) ? static_cast<int>(value.pixel_stride) : value.shape.channels;
}

std::vector<ValueInfo> infos_of(const dpm_graph& graph, const DeviceSettings& settings) {
  const DType dtype = settings.dtype;
  std::vector<ValueInfo> infos;
  infos.reserve(graph.value_count);
  int sums = 0;
  for (std::uint32_t i = 0; i < graph.value_count; ++i) {
    ValueInfo info;
    info.shape = graph.values[i];
    const StorageRoot root = storage_root(graph, static_cast<int>(i));
    info.root = root.value;
    info.first_channel = root.first_channel;
    const dpm_value& whole = graph.values[root.value];
    info.is_float = settings.switches.predictions && is_prediction(graph, static_cast<int>(i), dtype);
    const DType stored = info.is_float ? DType::kFloat32 : dtype;
    if (info.shape.varies == DPM_VARIES_SHARED) info.sum = sums++;
    info.pixel_stride = is_bound(whole) ? padded_channels(graph, whole, stored, dtype) : whole.channels;
    infos.push_back(info);
  }
  return infos;
}

DeviceMemory LayerFactory::floats(const std::vector<float>& values) const {
  DeviceMemory memory = device.allocate(values.size() * sizeof(float));
  device.staging.upload(device.stream, memory.data(), values.data(), memory.bytes());
  return memory;
}

DeviceMemory LayerFactory::stored(const std::vector<float>& values) const {
  return with_storage(device.settings.dtype, [&](auto type) {
    using T = decltype(type);
    std::vector<T> converted;
    converted.reserve(values.size());
    for (const float value : values) converted.push_back(from_float<T>(value));
    DeviceMemory memory = device.allocate(converted.size() * sizeof(T));
    device.staging.upload(device.stream, memory.data(), converted.data(), memory.bytes());
    return memory;
  });
}

namespace {

bool reads_times(const dpm_graph& graph, const dpm_node& node) {
  return is_condition(graph, graph.values[input_of(node, 0)]);
}

bool takes_maps(const Device& /*device*/, const dpm_graph& graph, const dpm_node& node) {
  return !reads_times(graph, node);
}

bool takes_condition(const Device& /*device*/, const dpm_graph& graph, const dpm_node& node) {
  return reads_times(graph, node) && !is_bound(graph.values[output_of(node)]);
}

bool takes_table(const Device& /*device*/, const dpm_graph& graph, const dpm_node& node) {
  return reads_times(graph, node);
}

bool takes_convolution(const Device& device, const dpm_graph& graph, const dpm_node& node) {
  const dpm_convolution_attributes& how = node.attributes.convolution;
  // cuDNN reads maps as they are stored; one with zeros between its elements is read by a data gradient.
  if (how.beside != 0 && is_product_of_vectors(graph, node)) return false;
  return !reads_times(graph, node) && (how.upsample == 0 || device.products == nullptr);
}

bool takes_narrow_heads(const Device& /*device*/, const dpm_graph& graph, const dpm_node& node) {
  return !reads_times(graph, node) &&
         graph.values[input_of(node, 0)].channels / attention_of(node).heads <= kWidestHead;
}

std::unique_ptr<Layer> make_any_convolution(const LayerFactory& factory, const dpm_node& node) {
  if (factory.value(output_of(node)).is_float) return make_prediction(factory, node);
  return is_product_of_vectors(factory.graph, node) ? make_linear(factory, node) : make_convolution(factory, node);
}

constexpr OperationRow<Layer, LayerFactory, Device> kRows[] = {
    {DPM_OP_TIME_EMBEDDING, takes_condition, make_embedding},
    {DPM_OP_EMBEDDING, takes_condition, make_embedding},
    {DPM_OP_LABEL_SCORE, takes_maps, make_embedding},
    {DPM_OP_CONVOLUTION, takes_convolution, make_any_convolution},
    {DPM_OP_GROUP_NORM, takes_maps, make_group_norm},
    {DPM_OP_GROUP_NORM_BACKWARD, takes_maps, make_norm_derivative, 2},
    {DPM_OP_GROUP_NORM_TANGENT, takes_maps, make_norm_derivative},
    {DPM_OP_ATTENTION, takes_maps, make_attention},
    {DPM_OP_ATTENTION_BACKWARD, takes_narrow_heads, make_attention_derivative, 2},
    {DPM_OP_ATTENTION_TANGENT, takes_narrow_heads, make_attention_derivative},
    {DPM_OP_AFFINE, takes_maps, make_channelwise},
    {DPM_OP_BIAS, takes_maps, make_channelwise},
    {DPM_OP_CHANNEL_ADD, takes_maps, make_channelwise},
    {DPM_OP_SCALE_SHIFT, takes_maps, make_channelwise},
    {DPM_OP_SILU, takes_maps, make_channelwise},
    {DPM_OP_ACTIVATION, takes_maps, make_channelwise},
    {DPM_OP_ACTIVATION_BACKWARD, takes_maps, make_activation_backward},
    {DPM_OP_ADD, takes_maps, make_channelwise},
    {DPM_OP_POSITION, takes_maps, make_channelwise},
    {DPM_OP_CONCAT, takes_maps, make_concat},
    {DPM_OP_VIEW, takes_maps, make_view},
    {DPM_OP_UPSAMPLE, takes_maps, make_resample},
    {DPM_OP_ZERO_UPSAMPLE, takes_maps, make_resample},
    {DPM_OP_AVERAGE_POOL, takes_maps, make_resample},
    {DPM_OP_FIR_UPSAMPLE, takes_maps, make_resample},
    {DPM_OP_FIR_DOWNSAMPLE, takes_maps, make_resample},
    {DPM_OP_SEPARABLE, takes_maps, make_separable},
    {DPM_OP_CONVOLUTION_WEIGHTS, takes_maps, make_convolution_weights},
    {DPM_OP_ROW_SUM, takes_maps, make_row_sum},
    {DPM_OP_EMBEDDING_WEIGHTS, takes_table, make_embedding},
    {DPM_OP_GROUP_NORM_VECTOR, takes_maps, make_norm_vector},
    {DPM_OP_SQUARE_SCORE, takes_maps, make_square_score},
    {DPM_OP_LAYER_NORM, takes_maps, make_layer_norm},
    {DPM_OP_GEGLU, takes_maps, make_geglu},
    {DPM_OP_DROPOUT, takes_maps, make_dropout},
    {DPM_OP_LAYER_NORM_BACKWARD, takes_maps, make_layer_norm, 2},
    {DPM_OP_GEGLU_BACKWARD, takes_maps, make_geglu},
};

}  // namespace

bool supports(const Device& device, const dpm_graph& graph, const dpm_node& node) {
  return row_of(kRows, node, device, graph) != nullptr;
}

std::unique_ptr<Layer> make_layer(const LayerFactory& factory, const dpm_node& node) {
  return make_by(row_of(kRows, node, factory.device, factory.graph), factory, node, "cuda");
}

}  // namespace dpm::cuda
