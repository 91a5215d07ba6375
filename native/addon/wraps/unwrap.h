// Objects of our classes told from all others.
#pragma once

#include <napi.h>

#include <string>

#include "core/error.h"

namespace dpm::addon {

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

}  // namespace dpm::addon
