// A JavaScript object for a device tensor.
#pragma once

#include <napi.h>

#include <memory>

#include "engine/device.h"

namespace dpm::addon {

class TensorWrap : public Napi::ObjectWrap<TensorWrap> {
 public:
  static void define(Napi::Env env);
  static Napi::Object make(Napi::Env env, std::shared_ptr<Buffer> buffer);
  [[nodiscard]] static bool is_tensor(const Napi::Value& value);
  /// Returns the buffer of a tensor. Throws Error(kArgument) when `value` is no tensor of `device`, Error(kClosed) when
  /// it was freed.
  static std::shared_ptr<Buffer> buffer_of(const Napi::Value& value, const char* what, const Device& device);

  /// Constructor for `make` only; throws when JavaScript calls it.
  explicit TensorWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  void free(const Napi::CallbackInfo& info);
  /// Makes another tensor of the same memory, which lasts until both are freed.
  Napi::Value share(const Napi::CallbackInfo& info);
  void release(Napi::Env env);

  std::shared_ptr<Buffer> buffer_;
};

}  // namespace dpm::addon
