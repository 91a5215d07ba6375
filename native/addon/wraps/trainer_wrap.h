// A JavaScript object for a network that learns.
#pragma once

#include <napi.h>

#include <memory>

#include "engine/engine.h"
#include "training/trainer.h"

namespace dpm::addon {

class TrainerWrap : public Napi::ObjectWrap<TrainerWrap> {
 public:
  static void define(Napi::Env env);
  /// Does the call `loadTrainer(graph, options, cancel)` of an engine.
  static Napi::Value load(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& engine);
  /// Constructor for `load` only; throws when JavaScript calls it.
  explicit TrainerWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  static Napi::Object make(Napi::Env env, const std::shared_ptr<Engine>& engine,
                           std::shared_ptr<training::Trainer> trainer);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value level_losses(const Napi::CallbackInfo& info);
  Napi::Value set_level_losses(const Napi::CallbackInfo& info);
  Napi::Value places(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  [[nodiscard]] const std::shared_ptr<training::Trainer>& trainer() const;
  /// Reports the size of weights and parameters to V8, so that it collects trainers in time.
  void report_memory(Napi::Env env, int sign) const;
  void release(Napi::Env env);

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<training::Trainer> trainer_;
};

}  // namespace dpm::addon
