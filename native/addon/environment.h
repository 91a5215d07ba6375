// State of one JavaScript environment (main thread or worker): constructors, and the mailbox through which engine
// threads reach it.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "engine/engine.h"

namespace dpm::addon {

/// A message from an engine thread to the JavaScript thread.
class Delivery {
 public:
  Delivery() = default;
  virtual ~Delivery() = default;
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;
  /// Handles the message on the JavaScript thread; not called when the environment is shutting down.
  virtual void deliver(Napi::Env env) = 0;
};

class Environment {
 public:
  explicit Environment(Napi::Env env);

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  /// Adds an engine, which is joined before the environment goes away.
  void add_engine(const std::shared_ptr<Engine>& engine);

  /// Posts from any thread. A delivery that cannot be made is destroyed on the JavaScript thread during shut-down.
  void post(std::unique_ptr<Delivery> delivery);

  /// Keeps the process alive until the work ends.
  void work_begins(Napi::Env env);
  void work_ends(Napi::Env env);

  Napi::FunctionReference tensor_constructor;
  Napi::FunctionReference network_constructor;
  Napi::FunctionReference batch_constructor;
  Napi::FunctionReference trainer_constructor;
  /// Set while native code makes an object of a class that JavaScript may not construct.
  bool constructing = false;
  /// Set once the runtime has refused an external array buffer (Electron).
  bool external_buffers_refused = false;

 private:
  static void call(Napi::Env env, Napi::Function function, Environment* self, Delivery* delivery);
  using Mailbox = Napi::TypedThreadSafeFunction<Environment, Delivery, call>;
  void shut_down();

  Mailbox mailbox_;
  std::vector<std::weak_ptr<Engine>> engines_;
  int in_flight_ = 0;
};

}  // namespace dpm::addon
