// JavaScript values to plain structs and back. What memory safety needs is checked here; friendly messages about
// options come from TypeScript.
#pragma once

#include <napi.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "sampling/runner.h"
#include "unet/description.h"
#include "unet/weights.h"

namespace dpm::addon {

/// An Error with `code`.
Napi::Error js_error(Napi::Env env, ErrorCode code, const std::string& message);

/// Runs `body`; what it throws becomes a JavaScript exception with a code.
template <typename Body>
auto translated(Napi::Env env, const Body& body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    const auto [code, message] = current_error();
    throw js_error(env, code, message);
  }
}

/// Marks objects of one class, so that no other is taken for it.
struct Tag {
  napi_type_tag value;
};

/// The native side of `value`. Throws Error(kArgument) unless it was tagged as a `Wrap`.
template <typename Wrap>
Wrap& unwrap(const Napi::Value& value, const Tag& tag, const char* what) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tag.value)) {
    throw Error(ErrorCode::kArgument, std::string(what) + " is not an object of the expected class");
  }
  return *Wrap::Unwrap(value.As<Napi::Object>());
}

/// A constant property.
inline void set_constant(Napi::Object object, const char* key, const Napi::Value& value) {
  object.DefineProperty(Napi::PropertyDescriptor::Value(key, value, napi_enumerable));
}

/// A typed array's elements. Throws Error(kArgument) naming `what` when the value is of another type.
template <typename T>
struct Elements {
  T* data = nullptr;
  std::size_t size = 0;
};
Elements<float> float_elements(const Napi::Value& value, const char* what);
Elements<std::uint32_t> uint32_elements(const Napi::Value& value, const char* what);
Elements<std::int32_t> int32_elements(const Napi::Value& value, const char* what);
Elements<std::uint8_t> byte_elements(const Napi::Value& value, const char* what);

std::uint32_t to_uint32(const Napi::Value& value, const char* what);
int to_int(const Napi::Object& object, const char* key);
std::string to_text(const Napi::Object& object, const char* key);
/// Which of `choices` the string at `key` is.
std::size_t to_choice(const Napi::Object& object, const char* key, std::initializer_list<const char*> choices);

unet::Description to_description(const Napi::Object& object);
/// Weights by file and place; the files are opened by `open_weights`, off the JavaScript thread.
struct WeightRequest {
  std::vector<std::string> files;
  std::vector<unet::WeightLocation> tensors;
};
WeightRequest to_weights(const Napi::Object& object);
unet::Weights open_weights(const WeightRequest& request);
/// Everything but `cancelled` and `progress`.
RunRequest to_run_request(const Napi::Object& object);
std::vector<dpm_record> to_records(const Napi::Value& value);

/// Typed arrays over `values`, without a copy where the runtime allows it.
Napi::Float32Array to_float_array(Napi::Env env, std::vector<float>&& values);
Napi::Uint8Array to_level_array(Napi::Env env, std::vector<std::uint8_t>&& values);

}  // namespace dpm::addon
