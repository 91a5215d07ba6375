#include "addon/convert/description.h"

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"
#include "addon/convert/weights.h"
#include "unet/builder.h"
#include "unet/description.h"

namespace dpm::addon {
namespace {

unet::Block::Kind block_kind(const Napi::Object& block) {
  using Kind = unet::Block::Kind;
  constexpr Kind kKinds[] = {Kind::kPush,         Kind::kPop,           Kind::kResidual,  Kind::kAttention,
                             Kind::kDownsample,   Kind::kUpsample,      Kind::kResample,  Kind::kImageResample,
                             Kind::kImageCombine, Kind::kImageResidual, Kind::kResultAdd, Kind::kResultResample};
  return kKinds[to_choice(block, "kind",
                          {"push", "pop", "residual", "attention", "downsample", "upsample", "resample",
                           "image-resample", "image-combine", "image-residual", "result-add", "result-resample"})];
}

unet::Block::Resample to_resample(const Napi::Object& object, const char* key) {
  using Resample = unet::Block::Resample;
  constexpr Resample kResamples[] = {Resample::kNone, Resample::kMean, Resample::kNearest, Resample::kFirDown,
                                     Resample::kFirUp};
  return kResamples[to_choice(object, key, {"none", "mean", "nearest", "fir-down", "fir-up"})];
}

void read_norms(const Napi::Object& object, unet::Block& block) {
  block.epsilon = static_cast<float>(to_double(object, "epsilon"));
  block.scale = static_cast<float>(to_double(object, "scale"));
}

unet::Block to_block(const Napi::Object& object) {
  using Kind = unet::Block::Kind;
  unet::Block block;
  block.kind = block_kind(object);
  switch (block.kind) {
    case Kind::kPush:
    case Kind::kPop:
      return block;
    case Kind::kResample:
    case Kind::kImageResample:
    case Kind::kResultResample:
      block.resample = to_resample(object, "method");
      return block;
    default:
      block.name = to_text(object, "name");
  }
  switch (block.kind) {
    case Kind::kDownsample:
      block.asymmetric = to_choice(object, "padding", {"symmetric", "asymmetric"}) == 1;
      break;
    case Kind::kAttention:
      block.heads = to_int(object, "heads");
      block.groups1 = to_int(object, "groups");
      read_norms(object, block);
      break;
    case Kind::kResidual:
      block.groups1 = to_int(object, "groups1");
      block.groups2 = to_int(object, "groups2");
      block.scale_shift = to_choice(object, "timeMode", {"add", "scale-shift"}) == 1;
      block.resample = to_resample(object, "resample");
      block.shortcut = to_choice(object, "shortcut", {"identity", "convolution"}) == 1;
      read_norms(object, block);
      break;
    case Kind::kImageCombine:
      block.concat = to_choice(object, "method", {"sum", "concat"}) == 1;
      break;
    case Kind::kImageResidual:
      block.filtered = to_bool(object, "fir");
      block.scale = static_cast<float>(to_double(object, "scale"));
      break;
    case Kind::kResultAdd:
      block.norm = to_text(object, "norm");
      block.groups1 = to_int(object, "groups");
      block.epsilon = static_cast<float>(to_double(object, "epsilon"));
      break;
    default:
      break;
  }
  return block;
}

unet::Description to_description(const Napi::Object& object) {
  unet::Description description;
  description.in_channels = to_extent(object, "inChannels");
  description.height = to_extent(object, "height");
  description.width = to_extent(object, "width");
  description.center_input = to_bool(object, "centerInput");
  const Napi::Object time = to_object(object, "time");
  description.time_channels = to_extent(time, "channels");
  description.frequency_shift = static_cast<float>(to_double(time, "shift"));
  description.cosine_first = to_choice(time, "order", {"sin-cos", "cos-sin"}) == 1;
  description.fourier = has_value(time, "fourier");
  description.logarithmic = description.fourier && to_choice(time, "fourier", {"linear", "logarithmic"}) == 1;
  description.time_rows = has_value(time, "rows");
  description.classes = to_int(object, "classes");
  if (has_value(object, "classEmbedding")) {
    description.class_embedding = static_cast<unet::Description::ClassEmbedding>(
        to_choice(object, "classEmbedding", {"row", "scaled-row", "time"}));
  }
  const Napi::Array blocks = to_array(object, "blocks");
  for (std::uint32_t i = 0; i < blocks.Length(); ++i) {
    const Napi::Value block = blocks.Get(i);
    if (!block.IsObject()) wrong("a block", "an object");
    description.blocks.push_back(to_block(block.As<Napi::Object>()));
  }
  description.result_alone = !has_value(object, "output");
  if (!description.result_alone) {
    const Napi::Object output = to_object(object, "output");
    description.output_groups = to_extent(output, "groups");
    description.output_epsilon = static_cast<float>(to_double(output, "epsilon"));
  }
  const Napi::Value divisor = object.Get("divisor");
  description.divides_by_time = divisor.IsString();
  if (!divisor.IsString()) description.divisors = to_floats(divisor, "divisor");
  description.has_head = has_value(object, "head");
  if (!description.has_head) return description;
  const Napi::Object head = to_object(object, "head");
  description.head.prefix = to_text(head, "prefix");
  description.head.complex = to_bool(head, "complex");
  description.head.groups = to_extent(head, "groups");
  description.head.epsilon = static_cast<float>(to_double(head, "epsilon"));
  return description;
}

}  // namespace

OpenNetwork to_unet_network(const Napi::Object& description, const Napi::Object& weights) {
  return [description = to_description(description), request = to_weights(weights, "tensors")] {
    OpenedNetwork opened{open_weights(request), {}, {}};
    opened.graph = unet::build_graph(description, opened.weights);
    opened.options = {description.classes, description.divides_by_time, description.divisors};
    return opened;
  };
}

}  // namespace dpm::addon
