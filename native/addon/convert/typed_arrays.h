// Conversion between typed arrays and C++ memory.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

namespace dpm::addon {

/// The elements of a typed array. Throws Error(kArgument) naming `what` when the value is of another type.
template <typename T>
struct Elements {
  T* data = nullptr;
  std::size_t size = 0;
};
Elements<float> float_elements(const Napi::Value& value, const char* what);
Elements<std::uint32_t> uint32_elements(const Napi::Value& value, const char* what);
Elements<std::int32_t> int32_elements(const Napi::Value& value, const char* what);
Elements<double> double_elements(const Napi::Value& value, const char* what);
Elements<std::uint8_t> byte_elements(const Napi::Value& value, const char* what);

/// Copies a Float32Array; empty where there is none.
std::vector<float> to_floats(const Napi::Value& value, const char* what);

/// Makes a typed array over `values`, without a copy where the runtime allows it.
Napi::Float32Array to_float_array(Napi::Env env, std::vector<float>&& values);
Napi::Uint8Array to_level_array(Napi::Env env, std::vector<std::uint8_t>&& values);

}  // namespace dpm::addon
