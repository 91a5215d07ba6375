// A flag that JavaScript sets and the engine reads before every evaluation, to cancel work.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>

#include "engine/engine.h"

namespace dpm::addon {

class CancelToken : public Napi::ObjectWrap<CancelToken> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit CancelToken(const Napi::CallbackInfo& info);
  /// Returns the token in `value`. Throws Error(kArgument) when `value` is something else.
  static CancelToken& of(const Napi::Value& value);

  /// The flag of `value`, or a flag that is never set where `value` is null or undefined. Throws Error(kArgument) when
  /// it is something else.
  static std::shared_ptr<std::atomic<bool>> flag_of(const Napi::Value& value, const std::shared_ptr<Engine>& engine);

  /// Returns the flag; from now on cancelling also removes the work from the queue of `engine`.
  std::shared_ptr<std::atomic<bool>> attach(const std::shared_ptr<Engine>& engine);

 private:
  void cancel(const Napi::CallbackInfo& info);

  std::shared_ptr<std::atomic<bool>> flag_ = std::make_shared<std::atomic<bool>>(false);
  std::weak_ptr<Engine> engine_;
};

}  // namespace dpm::addon
