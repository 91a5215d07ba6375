#include "addon/convert/typed_arrays.h"

#include <cstring>
#include <memory>

#include "addon/convert/objects.h"
#include "addon/environment.h"

namespace dpm::addon {
namespace {

template <typename Array>
Array typed_array(const Napi::Value& value, napi_typedarray_type type, const char* what, const char* expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) wrong(what, expected);
  return value.As<Array>();
}

/// Makes a typed array over `values`, without a copy where the runtime allows it.
template <typename Array, typename T>
Array to_array(Napi::Env env, std::vector<T>&& values) {
  Environment& environment = Environment::of(env);
  const std::size_t size = values.size();
  if (size > 0 && !environment.external_buffers_refused) {
    auto owned = std::make_unique<std::vector<T>>(std::move(values));
    napi_value buffer = nullptr;
    const napi_status status = napi_create_external_arraybuffer(
        env, owned->data(), size * sizeof(T),
        [](napi_env /*env*/, void* /*data*/, void* hint) {
          std::unique_ptr<std::vector<T>>{static_cast<std::vector<T>*>(hint)}.reset();
        },
        owned.get(), &buffer);
    if (status == napi_ok) {
      // NOLINTNEXTLINE(bugprone-unused-return-value): the buffer's finalizer owns it now.
      owned.release();
      return Array::New(env, size, Napi::ArrayBuffer(env, buffer), 0);
    }
    environment.external_buffers_refused = true;
    values = std::move(*owned);
  }
  Array copy = Array::New(env, size);
  if (size > 0) std::memcpy(copy.Data(), values.data(), size * sizeof(T));
  return copy;
}

}  // namespace

Elements<float> float_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Float32Array>(value, napi_float32_array, what, "a Float32Array");
  return {array.Data(), array.ElementLength()};
}

Elements<std::uint32_t> uint32_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Uint32Array>(value, napi_uint32_array, what, "a Uint32Array");
  return {array.Data(), array.ElementLength()};
}

Elements<std::int32_t> int32_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Int32Array>(value, napi_int32_array, what, "an Int32Array");
  return {array.Data(), array.ElementLength()};
}

Elements<double> double_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Float64Array>(value, napi_float64_array, what, "a Float64Array");
  return {array.Data(), array.ElementLength()};
}

Elements<std::uint8_t> byte_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Uint8Array>(value, napi_uint8_array, what, "a Uint8Array");
  return {array.Data(), array.ElementLength()};
}

std::vector<float> to_floats(const Napi::Value& value, const char* key) {
  if (is_absent(value)) return {};
  const auto elements = float_elements(value, key);
  return {elements.data, elements.data + elements.size};
}

void read_labels(const Napi::Value& value, std::size_t count, int classes, std::vector<std::int32_t>& labels) {
  labels.assign(count, -1);
  if (is_absent(value)) return;
  const auto given = int32_elements(value, "labels");
  require(given.size == count, "labels must have one element per sample");
  labels.assign(given.data, given.data + given.size);
  for (const std::int32_t label : labels) require(label < classes, "a label is out of range");
}

Napi::Float32Array to_float_array(Napi::Env env, std::vector<float>&& values) {
  return to_array<Napi::Float32Array>(env, std::move(values));
}

Napi::Uint8Array to_level_array(Napi::Env env, std::vector<std::uint8_t>&& values) {
  return to_array<Napi::Uint8Array>(env, std::move(values));
}

}  // namespace dpm::addon
