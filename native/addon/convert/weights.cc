#include "addon/convert/weights.h"

#include <utility>

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"

namespace dpm::addon {
namespace {

std::vector<std::int64_t> to_dimensions(const Napi::Array& values) {
  std::vector<std::int64_t> dimensions;
  for (std::uint32_t d = 0; d < values.Length(); ++d) {
    const Napi::Value dim = values.Get(d);
    dimensions.push_back(static_cast<std::int64_t>(to_uint32(dim, "a dimension")));
  }
  return dimensions;
}

DType to_dtype(const Napi::Object& tensor) {
  constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
  return kTypes[to_choice(tensor, "dtype", {"F32", "F16", "BF16"})];
}

FactorLocation to_factor(const Napi::Object& tensor) {
  return {to_text(tensor, "name"),   to_size(tensor, "file"),
          to_dtype(tensor),          to_dimensions(to_array(tensor, "shape")),
          to_size(tensor, "offset"), to_size(tensor, "bytes")};
}

std::vector<AdditionLocation> to_additions(const Napi::Array& list) {
  std::vector<AdditionLocation> additions;
  for (std::uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Object addition = object_at(list, i, "an addition");
    AdditionLocation location;
    location.factor = to_float(addition, "factor");
    location.up = to_factor(to_object(addition, "up"));
    if (has_value(addition, "mid")) location.mid = to_factor(to_object(addition, "mid"));
    location.down = to_factor(to_object(addition, "down"));
    additions.push_back(std::move(location));
  }
  return additions;
}

WeightLocation to_location(const Napi::Object& tensor) {
  WeightLocation location;
  location.name = to_text(tensor, "name");
  if (has_value(tensor, "values")) {
    location.shape = to_dimensions(to_array(tensor, "shape"));
    location.given = to_floats(tensor.Get("values"), "values");
    return location;
  }
  location.file = to_size(tensor, "file");
  location.dtype = to_dtype(tensor);
  location.shape = to_dimensions(to_array(tensor, "shape"));
  if (const Napi::Value view = tensor.Get("view"); view.IsObject()) {
    location.view_dims = to_dimensions(to_array(view.As<Napi::Object>(), "dims"));
    location.view_strides = to_dimensions(to_array(view.As<Napi::Object>(), "strides"));
  }
  location.offset = to_size(tensor, "offset");
  location.bytes = to_size(tensor, "bytes");
  if (has_value(tensor, "additions")) location.additions = to_additions(to_array(tensor, "additions"));
  return location;
}

}  // namespace

GivenWeights to_weights(const Napi::Object& object, const char* list) {
  GivenWeights request;
  const Napi::Array files = to_array(object, "files");
  for (std::uint32_t i = 0; i < files.Length(); ++i) {
    const Napi::Value file = files.Get(i);
    if (!file.IsString()) wrong("a file", "a string");
    request.files.push_back(file.As<Napi::String>().Utf8Value());
  }
  const Napi::Array tensors = to_array(object, list);
  for (std::uint32_t i = 0; i < tensors.Length(); ++i) {
    request.tensors.push_back(to_location(object_at(tensors, i, "a tensor")));
  }
  return request;
}

Weights open_weights(const GivenWeights& request, std::function<void()> check_wanted,
                     std::shared_ptr<KnownWeights> known) {
  Weights weights(std::move(check_wanted), std::move(known));
  for (const std::string& file : request.files) weights.add_file(file);
  for (const WeightLocation& tensor : request.tensors) weights.add(tensor);
  return weights;
}

}  // namespace dpm::addon
