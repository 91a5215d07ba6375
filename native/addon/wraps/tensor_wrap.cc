#include "addon/wraps/tensor_wrap.h"

#include "addon/convert/objects.h"
#include "addon/environment.h"
#include "addon/wraps/unwrap.h"

namespace dpm::addon {
namespace {

const Tag kTag = {{0x6b1f0d5c9a3e4471ULL, 0x8d0c27f1b4a96e52ULL}};

}  // namespace

void TensorWrap::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(
      env, "Tensor", {InstanceMethod<&TensorWrap::free>("free"), InstanceMethod<&TensorWrap::share>("share")});
  Environment::of(env).tensor_constructor = Napi::Persistent(constructor);
}

Napi::Object TensorWrap::make(Napi::Env env, std::shared_ptr<Buffer> buffer) {
  Environment& environment = Environment::of(env);
  const std::uint64_t elements = buffer->bytes() / sizeof(float);
  environment.constructing = true;
  Napi::Object object = environment.tensor_constructor.New({});
  object.TypeTag(&kTag.value);
  set_constant(object, "elements", Napi::Number::New(env, static_cast<double>(elements)));
  // The garbage collector sees a small object and has to be told how much memory it holds.
  Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<std::int64_t>(buffer->bytes()));
  Unwrap(object)->buffer_ = std::move(buffer);
  return object;
}

bool TensorWrap::is_tensor(const Napi::Value& value) {
  return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kTag.value);
}

std::shared_ptr<Buffer> TensorWrap::buffer_of(const Napi::Value& value, const char* what, const Device& device) {
  auto buffer = unwrap<TensorWrap>(value, kTag, what).buffer_;
  if (!buffer) throw Error(ErrorCode::kClosed, std::string(what) + " was freed");
  if (!buffer->belongs_to(device)) {
    throw Error(ErrorCode::kArgument, std::string(what) + " belongs to another engine");
  }
  return buffer;
}

TensorWrap::TensorWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TensorWrap>(info) {
  if (!std::exchange(Environment::of(info.Env()).constructing, false)) {
    throw js_error(info.Env(), ErrorCode::kArgument, "tensors are made by an engine");
  }
}

void TensorWrap::Finalize(Napi::Env env) { release(env); }

void TensorWrap::free(const Napi::CallbackInfo& info) { release(info.Env()); }

Napi::Value TensorWrap::share(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value {
    if (!buffer_) throw Error(ErrorCode::kClosed, "the tensor was freed");
    return make(info.Env(), buffer_);
  });
}

void TensorWrap::release(Napi::Env env) {
  if (!buffer_) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<std::int64_t>(buffer_->bytes()));
  buffer_.reset();
}

}  // namespace dpm::addon
