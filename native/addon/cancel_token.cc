#include "addon/cancel_token.h"

namespace dpm::addon {

Napi::Function CancelToken::define(Napi::Env env) {
  return DefineClass(env, "CancelToken", {InstanceMethod<&CancelToken::cancel>("cancel")});
}

CancelToken::CancelToken(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CancelToken>(info) {}

std::shared_ptr<std::atomic<bool>> CancelToken::attach(const std::shared_ptr<Engine>& engine) {
  engine_ = engine;
  return flag_;
}

void CancelToken::cancel(const Napi::CallbackInfo& /*info*/) {
  flag_->store(true);
  if (const auto engine = engine_.lock()) engine->drop_cancelled();
}

}  // namespace dpm::addon
