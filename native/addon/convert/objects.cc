#include "addon/convert/objects.h"

#include <cmath>

namespace dpm::addon {

bool to_bool(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBoolean()) wrong(key, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

double to_double(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) wrong(key, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

Napi::Object to_object(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsObject()) wrong(key, "an object");
  return value.As<Napi::Object>();
}

Napi::Array to_array(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsArray()) wrong(key, "an array");
  return value.As<Napi::Array>();
}

bool has_value(const Napi::Object& object, const char* key) { return !is_absent(object.Get(key)); }

std::uint64_t to_size(const Napi::Object& object, const char* key) {
  const double value = to_double(object, key);
  constexpr double kLargest = 9007199254740991.0;
  if (!(value >= 0 && value <= kLargest && std::floor(value) == value)) wrong(key, "a non-negative integer");
  return static_cast<std::uint64_t>(value);
}

float to_float(const Napi::Object& object, const char* key) { return static_cast<float>(to_double(object, key)); }

Napi::Object object_at(const Napi::Array& array, std::uint32_t index, const char* what) {
  const Napi::Value element = array.Get(index);
  if (!element.IsObject()) wrong(what, "an object");
  return element.As<Napi::Object>();
}

int to_extent(const Napi::Object& object, const char* key) {
  const int value = to_int(object, key);
  if (value < 1 || value > 65536) wrong(key, "between 1 and 65536");
  return value;
}

std::size_t to_choice(const Napi::Object& object, const char* key, std::initializer_list<const char*> choices) {
  const std::string text = to_text(object, key);
  std::size_t index = 0;
  std::string listed;
  for (const char* choice : choices) {
    if (text == choice) return index;
    listed += (index++ > 0 ? ", " : "") + std::string(choice);
  }
  throw Error(ErrorCode::kArgument, std::string(key) + " is " + text + ", expected one of " + listed);
}

std::uint32_t to_uint32(const Napi::Value& value, const char* what) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1.0;
  if (!(number >= 0 && number <= 4294967295.0 && std::floor(number) == number))
    wrong(what, "an unsigned 32-bit integer");
  return static_cast<std::uint32_t>(number);
}

int to_int(const Napi::Object& object, const char* key) {
  const double value = to_double(object, key);
  if (!(value >= -2147483648.0 && value <= 2147483647.0 && std::floor(value) == value)) wrong(key, "a 32-bit integer");
  return static_cast<int>(value);
}

std::string to_text(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsString()) wrong(key, "a string");
  return value.As<Napi::String>().Utf8Value();
}

}  // namespace dpm::addon
