// The addon's exports: exactly what lib/engine/native-engine.ts declares.
#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/environment.h"
#include "addon/wraps/batch_wrap.h"
#include "addon/wraps/cancel_token.h"
#include "addon/wraps/engine_wrap.h"
#include "addon/wraps/network_wrap.h"
#include "addon/wraps/tensor_wrap.h"
#include "addon/wraps/trainer_wrap.h"
#include "backend/record.h"
#include "devices/registry.h"

namespace dpm::addon {
namespace {

constexpr int kSurfaceVersion = 16;

Napi::Value devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto known = list_devices();
  Napi::Array array = Napi::Array::New(env, known.size());
  for (std::uint32_t i = 0; i < known.size(); ++i) {
    Napi::Object device = Napi::Object::New(env);
    device.Set("name", Napi::String::New(env, known[i].name));
    device.Set("usable", Napi::Boolean::New(env, known[i].usable));
    device.Set("score", Napi::Number::New(env, known[i].score));
    device.Set("description", Napi::String::New(env, known[i].description));
    device.Set("reason", Napi::String::New(env, known[i].reason));
    array.Set(i, device);
  }
  return array;
}

void set_cuda_plugins(const Napi::CallbackInfo& info) {
  const auto files = info[0].As<Napi::Array>();
  std::vector<std::string> paths;
  paths.reserve(files.Length());
  for (std::uint32_t i = 0; i < files.Length(); ++i) paths.push_back(files.Get(i).As<Napi::String>().Utf8Value());
  use_cuda_plugins(std::move(paths));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(std::make_unique<Environment>(env).release());
  TensorWrap::define(env);
  NetworkWrap::define(env);
  BatchWrap::define(env);
  TrainerWrap::define(env);
  exports.Set("abiVersion", Napi::Number::New(env, kSurfaceVersion));
  exports.Set("recordBytes", Napi::Number::New(env, sizeof(dpm_record)));
  exports.Set("devices", Napi::Function::New(env, devices, "devices"));
  exports.Set("useCudaPlugins", Napi::Function::New(env, set_cuda_plugins, "useCudaPlugins"));
  exports.Set("Engine", EngineWrap::define(env));
  exports.Set("CancelToken", CancelToken::define(env));
  return exports;
}

}  // namespace
}  // namespace dpm::addon

// NOLINTNEXTLINE(bugprone-reserved-identifier): the macro's own names.
static Napi::Object initialize(Napi::Env env, Napi::Object exports) { return dpm::addon::init(env, exports); }
NODE_API_MODULE(NODE_GYP_MODULE_NAME, initialize)
