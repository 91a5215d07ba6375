// A JavaScript object for an engine (device, thread, queue).
#pragma once

#include <napi.h>

#include <memory>

#include "engine/engine.h"

namespace dpm::addon {

class EngineWrap : public Napi::ObjectWrap<EngineWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value tensor(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value load_network(const Napi::CallbackInfo& info);
  Napi::Value load_trainer(const Napi::CallbackInfo& info);
  Napi::Value script_batch(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value reduce(const Napi::CallbackInfo& info);
  Napi::Value measure_peak(const Napi::CallbackInfo& info);
  Napi::Value trim(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value statistics(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  /// Returns the open device. Throws Error(kClosed).
  [[nodiscard]] const std::shared_ptr<Device>& device() const;

  std::shared_ptr<Engine> engine_;
  Napi::Reference<Napi::Promise> closing_;
};

}  // namespace dpm::addon
