// A device tensor as a JavaScript object.
#pragma once

#include <napi.h>

#include <memory>

#include "engine/device.h"

namespace dpm::addon {

class TensorWrap : public Napi::ObjectWrap<TensorWrap> {
 public:
  static void define(Napi::Env env);
  static Napi::Object make(Napi::Env env, std::shared_ptr<Buffer> buffer);
  /// Throws Error(kArgument) when `value` is no tensor, Error(kClosed) when it was freed.
  static std::shared_ptr<Buffer> buffer_of(const Napi::Value& value, const char* what);
  static bool is_tensor(const Napi::Value& value);

  explicit TensorWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value elements(const Napi::CallbackInfo& info);
  void free(const Napi::CallbackInfo& info);

  std::shared_ptr<Buffer> buffer_;
};

}  // namespace dpm::addon
