// JavaScript values to plain structs and back. What memory safety needs is checked here; friendly messages about
// options come from TypeScript.
#pragma once

#include <napi.h>

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

unet::Description to_description(const Napi::Object& object);
unet::Weights to_weights(const Napi::Object& object);
/// Everything but `cancelled` and `progress`.
RunRequest to_run_request(const Napi::Object& object);
std::vector<dpm_record> to_records(const Napi::Value& value);

/// A Float32Array over `values`, without a copy where the runtime allows it.
Napi::Float32Array to_float_array(Napi::Env env, std::vector<float>&& values);

}  // namespace dpm::addon
