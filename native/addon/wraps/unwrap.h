// Type checks of JavaScript objects that wrap native ones.
#pragma once

#include <napi.h>

#include <string>

#include "core/error.h"

namespace dpm::addon {

/// A tag for objects of one class, so that no other object is taken for it.
struct Tag {
  napi_type_tag value;
};

/// Returns the native side of `value`. Throws Error(kArgument) unless it was tagged as a `Wrap`.
template <typename Wrap>
Wrap& unwrap(const Napi::Value& value, const Tag& tag, const char* what) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tag.value)) {
    throw Error(ErrorCode::kArgument, std::string(what) + " is not an object of the expected class");
  }
  return *Wrap::Unwrap(value.As<Napi::Object>());
}

}  // namespace dpm::addon
