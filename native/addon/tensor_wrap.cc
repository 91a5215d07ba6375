#include "addon/tensor_wrap.h"

#include "addon/convert.h"
#include "addon/environment.h"

namespace dpm::addon {
namespace {

const napi_type_tag kTag = {0x6b1f0d5c9a3e4471ULL, 0x8d0c27f1b4a96e52ULL};

}  // namespace

void TensorWrap::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(
      env, "Tensor", {InstanceAccessor<&TensorWrap::elements>("elements"), InstanceMethod<&TensorWrap::free>("free")});
  Environment::of(env).tensor_constructor = Napi::Persistent(constructor);
}

Napi::Object TensorWrap::make(Napi::Env env, std::shared_ptr<Buffer> buffer) {
  Napi::Object object = Environment::of(env).tensor_constructor.New({});
  Unwrap(object)->buffer_ = std::move(buffer);
  object.TypeTag(&kTag);
  return object;
}

bool TensorWrap::is_tensor(const Napi::Value& value) {
  return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kTag);
}

std::shared_ptr<Buffer> TensorWrap::buffer_of(const Napi::Value& value, const char* what) {
  if (!is_tensor(value)) throw Error(ErrorCode::kArgument, std::string(what) + " must be a device tensor");
  auto buffer = Unwrap(value.As<Napi::Object>())->buffer_;
  if (!buffer) throw Error(ErrorCode::kClosed, std::string(what) + " was freed");
  return buffer;
}

TensorWrap::TensorWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TensorWrap>(info) {}

Napi::Value TensorWrap::elements(const Napi::CallbackInfo& info) {
  const std::uint64_t count = buffer_ ? buffer_->bytes() / sizeof(float) : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

void TensorWrap::free(const Napi::CallbackInfo& /*info*/) { buffer_.reset(); }

}  // namespace dpm::addon
