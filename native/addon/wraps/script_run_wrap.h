// A run that JavaScript predicts for, as a JavaScript object.
#pragma once

#include <napi.h>

#include <memory>

#include "engine/engine.h"
#include "sampling/script_run.h"

namespace dpm::addon {

class ScriptRunWrap : public Napi::ObjectWrap<ScriptRunWrap> {
 public:
  static void define(Napi::Env env);
  static Napi::Object make(Napi::Env env, const std::shared_ptr<Engine>& engine, std::shared_ptr<ScriptRun> run);
  /// For `make` only; throws when JavaScript calls it.
  explicit ScriptRunWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value ask(const Napi::CallbackInfo& info);
  Napi::Value answer(const Napi::CallbackInfo& info);
  Napi::Value states(const Napi::CallbackInfo& info);
  Napi::Value replace(const Napi::CallbackInfo& info);
  void free(const Napi::CallbackInfo& info);

  [[nodiscard]] const std::shared_ptr<ScriptRun>& run() const;

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<ScriptRun> run_;
};

}  // namespace dpm::addon
