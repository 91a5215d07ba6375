#include "devices/cpu/layers/layer.h"

#include <algorithm>
#include <string>

#include "backend/bindings.h"
#include "core/error.h"

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
    // A single pixel's channels are adjacent, and the next pixel is that of the next sample.
    view.pixel_stride = pixels == 1 ? view.sample_stride : 1;
    view.channel_stride = pixels;
    view.data += first_row * view.sample_stride;
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

bool supports(const dpm_graph& graph, const dpm_node& node) {
  const auto bound = [&](int value) { return value >= 0 && is_bound(graph.values[value]); };
  if (node.output_count != 1) return false;
  switch (node.op) {
    case DPM_OP_CONVOLUTION: {
      const dpm_convolution_attributes& how = node.attributes.convolution;
      // Its layers have all threads.
      if (how.beside != 0 || how.zero_upsample != 0 || bound(input_of(node, 1)) || bound(input_of(node, 2)))
        return false;
      // An enlarged or bound input is laid out by the packing of kernels larger than one.
      return how.kernel > 1 || (how.upsample == 0 && how.stride == 1 && !bound(input_of(node, 0)));
    }
    case DPM_OP_TIME_EMBEDDING:
    case DPM_OP_EMBEDDING:
      return is_condition(graph, graph.values[input_of(node, 0)]);
    case DPM_OP_LABEL_SCORE:
      return !bound(input_of(node, 0)) && !bound(output_of(node));
    case DPM_OP_AFFINE:
    case DPM_OP_BIAS:
      return true;
    case DPM_OP_GROUP_NORM:
      // A convolution adds its vector and its bias in the registers that it has.
      if (input_of(node, 2) >= 0 || node.bias_count > 1) return false;
      [[fallthrough]];
    case DPM_OP_ATTENTION:
    case DPM_OP_CHANNEL_ADD:
    case DPM_OP_SCALE_SHIFT:
    case DPM_OP_SILU:
    case DPM_OP_ACTIVATION:
    case DPM_OP_ADD:
    case DPM_OP_CONCAT:
    case DPM_OP_UPSAMPLE:
    case DPM_OP_AVERAGE_POOL:
    case DPM_OP_FIR_UPSAMPLE:
    case DPM_OP_FIR_DOWNSAMPLE:
    case DPM_OP_VIEW:
    case DPM_OP_ZERO_UPSAMPLE:
    case DPM_OP_ACTIVATION_BACKWARD:
    case DPM_OP_GROUP_NORM_BACKWARD:
    case DPM_OP_GROUP_NORM_TANGENT:
    case DPM_OP_ATTENTION_BACKWARD:
    case DPM_OP_ATTENTION_TANGENT:
    case DPM_OP_SEPARABLE:
    case DPM_OP_POSITION:
      return std::none_of(node.inputs, node.inputs + node.input_count, bound) && !bound(output_of(node));
    default:
      return false;
  }
}

std::unique_ptr<Layer> make_layer(const LayerFactory& factory, const dpm_node& node) {
  if (!supports(factory.graph, node)) {
    throw Error(ErrorCode::kUnsupported,
                std::string(node.name) + ": the cpu device cannot run this operation on these inputs");
  }
  switch (node.op) {
    case DPM_OP_CONVOLUTION:
      return make_convolution(factory, node);
    case DPM_OP_GROUP_NORM:
      return make_group_norm(factory, node);
    case DPM_OP_ATTENTION:
      return make_attention(factory, node);
    case DPM_OP_CONCAT:
    case DPM_OP_UPSAMPLE:
    case DPM_OP_AVERAGE_POOL:
    case DPM_OP_VIEW:
    case DPM_OP_ZERO_UPSAMPLE:
      return make_resample(factory, node);
    case DPM_OP_ACTIVATION_BACKWARD:
      return make_activation_backward(factory, node);
    case DPM_OP_GROUP_NORM_BACKWARD:
    case DPM_OP_GROUP_NORM_TANGENT:
      return make_norm_derivative(factory, node);
    case DPM_OP_ATTENTION_BACKWARD:
    case DPM_OP_ATTENTION_TANGENT:
      return make_attention_derivative(factory, node);
    case DPM_OP_FIR_UPSAMPLE:
    case DPM_OP_FIR_DOWNSAMPLE:
      return make_fir(factory, node);
    case DPM_OP_SEPARABLE:
      return make_separable(factory, node);
    case DPM_OP_TIME_EMBEDDING:
    case DPM_OP_EMBEDDING:
    case DPM_OP_LABEL_SCORE:
      return make_embedding(factory, node);
    default:
      return make_channelwise(factory, node);
  }
}

}  // namespace dpm::cpu
