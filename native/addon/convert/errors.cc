#include "addon/convert/errors.h"

namespace dpm::addon {

Napi::Error js_error(Napi::Env env, ErrorCode code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("code", Napi::String::New(env, error_code_name(code)));
  return error;
}

void wrong(const std::string& what, const char* expected) {
  throw Error(ErrorCode::kArgument, what + " must be " + expected);
}

}  // namespace dpm::addon
