// Properties of JavaScript objects as plain values. The checks here are those that memory safety needs; friendly
// messages about options come from TypeScript. Each function throws Error(kArgument) naming a property of the wrong
// type.
#pragma once

#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "addon/convert/errors.h"

namespace dpm::addon {

bool to_bool(const Napi::Object& object, const char* key);
double to_double(const Napi::Object& object, const char* key);
float to_float(const Napi::Object& object, const char* key);
int to_int(const Napi::Object& object, const char* key);
std::uint64_t to_size(const Napi::Object& object, const char* key);
/// Reads the size of one side, or a channel count, of a network; shape inference checks their products.
int to_extent(const Napi::Object& object, const char* key);
std::string to_text(const Napi::Object& object, const char* key);
Napi::Object to_object(const Napi::Object& object, const char* key);
Napi::Array to_array(const Napi::Object& object, const char* key);
/// Returns element `index` of an array of objects; `what` names one element in messages.
Napi::Object object_at(const Napi::Array& array, std::uint32_t index, const char* what);
/// Returns whether the value at `key` is there and not null.
bool has_value(const Napi::Object& object, const char* key);
/// Returns whether a value is null or undefined.
inline bool is_absent(const Napi::Value& value) { return value.IsNull() || value.IsUndefined(); }
/// Returns the index in `choices` of the string at `key`.
std::size_t to_choice(const Napi::Object& object, const char* key, std::initializer_list<const char*> choices);

std::uint32_t to_uint32(const Napi::Value& value, const char* what);

/// Reads a number as any C++ number type.
template <typename T>
void set_number(Napi::Object object, const char* key, T value) {
  object.Set(key, Napi::Number::New(object.Env(), static_cast<double>(value)));
}

/// Sets a constant property.
inline void set_constant(Napi::Object object, const char* key, const Napi::Value& value) {
  object.DefineProperty(Napi::PropertyDescriptor::Value(key, value, napi_enumerable));
}

}  // namespace dpm::addon
