#include "addon/wraps/cancel_token.h"

#include "addon/convert/objects.h"
#include "addon/wraps/unwrap.h"

namespace dpm::addon {
namespace {

const Tag kTag = {{0x2f77c3a1d05b4e8eULL, 0x9b41e6d27c8f0a35ULL}};

}  // namespace

Napi::Function CancelToken::define(Napi::Env env) {
  return DefineClass(env, "CancelToken", {InstanceMethod<&CancelToken::cancel>("cancel")});
}

CancelToken::CancelToken(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CancelToken>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag.value);
}

CancelToken& CancelToken::of(const Napi::Value& value) { return unwrap<CancelToken>(value, kTag, "cancel"); }

std::shared_ptr<std::atomic<bool>> CancelToken::flag_of(const Napi::Value& value,
                                                        const std::shared_ptr<Engine>& engine) {
  if (is_absent(value)) return std::make_shared<std::atomic<bool>>(false);
  return of(value).attach(engine);
}

std::shared_ptr<std::atomic<bool>> CancelToken::attach(const std::shared_ptr<Engine>& engine) {
  engine_ = engine;
  return flag_;
}

void CancelToken::cancel(const Napi::CallbackInfo& /*info*/) {
  flag_->store(true);
  if (const auto engine = engine_.lock()) engine->drop_cancelled();
}

}  // namespace dpm::addon
