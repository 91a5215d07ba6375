// A JavaScript object for a loaded network.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/network.h"
#include "weights/known_weights.h"

namespace dpm::addon {

class ForwardMemory;

class NetworkWrap : public Napi::ObjectWrap<NetworkWrap> {
 public:
  static void define(Napi::Env env);
  static Napi::Object make(Napi::Env env, const std::shared_ptr<Engine>& engine, std::shared_ptr<Network> network,
                           std::shared_ptr<KnownWeights> known);
  /// Constructor for `make` only; throws when JavaScript calls it.
  explicit NetworkWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;
  /// Returns the network in `value`. Throws Error(kArgument) when it is none, Error(kClosed) when it is closed.
  static std::shared_ptr<Network> network_of(const Napi::Value& value, const char* what);
  /// Returns what is known of its weights; throws as `network_of` does.
  static std::shared_ptr<KnownWeights> known_weights_of(const Napi::Value& value, const char* what);

 private:
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value predict(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value batch(const Napi::CallbackInfo& info);
  Napi::Value measure(const Napi::CallbackInfo& info);
  Napi::Value profile(const Napi::CallbackInfo& info);
  Napi::Value nodes(const Napi::CallbackInfo& info);
  Napi::Value gradients(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  [[nodiscard]] const std::shared_ptr<Network>& network() const;
  /// Reports the weights' size to V8, so that it collects networks in time.
  void report_memory(Napi::Env env, int sign) const;
  void release(Napi::Env env);

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Network> network_;
  std::shared_ptr<ForwardMemory> memory_;
  std::shared_ptr<KnownWeights> known_;
};

}  // namespace dpm::addon
