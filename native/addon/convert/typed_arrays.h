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

/// Reads the labels of `count` samples, -1 for each where the value is null or undefined. Throws Error(kArgument)
/// unless there is one per sample and each is below `classes`.
void read_labels(const Napi::Value& value, std::size_t count, int classes, std::vector<std::int32_t>& labels);

/// Makes a typed array over `values`, without a copy where the runtime allows it.
Napi::Float32Array to_float_array(Napi::Env env, std::vector<float>&& values);
Napi::Uint8Array to_level_array(Napi::Env env, std::vector<std::uint8_t>&& values);

}  // namespace dpm::addon
