// A JavaScript object for a batch that requests join while it runs.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/open_batch.h"
#include "engine/engine.h"

namespace dpm::addon {

class BatchWrap : public Napi::ObjectWrap<BatchWrap> {
 public:
  static void define(Napi::Env env);
  /// Opens a batch, on a network or on a function where there is none: see BatchOpening.
  static Napi::Value open(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& engine,
                          const std::shared_ptr<Network>& network);
  /// Constructor for `open` only; throws when JavaScript calls it.
  explicit BatchWrap(const Napi::CallbackInfo& info);
  ~BatchWrap() override;

 private:
  static Napi::Object make(Napi::Env env, const std::shared_ptr<Engine>& engine, const OpenedBatch& batch);
  Napi::Value submit(const Napi::CallbackInfo& info);
  Napi::Value answer(const Napi::CallbackInfo& info);
  Napi::Value abandon(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<Engine> engine_;
  OpenedBatch batch_;
  Napi::Reference<Napi::Promise> closing_;
};

}  // namespace dpm::addon
