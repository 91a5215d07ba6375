// A batch that requests join while it runs, as a JavaScript object.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/jobs/batch_jobs.h"
#include "engine/engine.h"

namespace dpm::addon {

class BatchWrap : public Napi::ObjectWrap<BatchWrap> {
 public:
  static void define(Napi::Env env);
  static Napi::Object make(Napi::Env env, const std::shared_ptr<Engine>& engine, OpenedBatch batch,
                           std::uint64_t bytes);
  /// For `make` only; throws when JavaScript calls it.
  explicit BatchWrap(const Napi::CallbackInfo& info);
  ~BatchWrap() override;

 private:
  Napi::Value submit_request(const Napi::CallbackInfo& info);
  Napi::Value answer(const Napi::CallbackInfo& info);
  Napi::Value abandon(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<Engine> engine_;
  OpenedBatch batch_;
  Napi::Reference<Napi::Promise> closing_;
};

}  // namespace dpm::addon
