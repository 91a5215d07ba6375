// Errors as JavaScript exceptions.
#pragma once

#include <napi.h>

#include <string>

#include "core/error.h"

namespace dpm::addon {

/// Makes a JavaScript error with `code`.
Napi::Error js_error(Napi::Env env, ErrorCode code, const std::string& message);

/// Throws Error(kArgument) with the message that `what` must be `expected`.
[[noreturn]] void wrong(const std::string& what, const char* expected);

/// Runs `body`; its exceptions become JavaScript exceptions with a code.
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

}  // namespace dpm::addon
