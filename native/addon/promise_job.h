// A job whose end settles a promise on the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>
#include <utility>

#include "addon/convert.h"
#include "addon/environment.h"

namespace dpm::addon {

class PromiseJob : public Job {
 public:
  /// `owner` is kept alive until the promise is settled.
  PromiseJob(Napi::Env env, const Napi::Object& owner)
      : environment_(Environment::of(env)), deferred_(env), owner_(Napi::Persistent(owner)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }
  void finished(std::unique_ptr<Job> self) override;

 protected:
  /// What the promise is resolved with; on the JavaScript thread, after `run` has succeeded.
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }
  [[nodiscard]] Environment& environment() const { return environment_; }

 private:
  friend class Settlement;
  void settle(Napi::Env env);

  Environment& environment_;
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference owner_;
};

/// Queues `job` and returns its promise.
template <typename ConcreteJob>
Napi::Value submit(Napi::Env env, Engine& engine, std::unique_ptr<ConcreteJob> job) {
  Napi::Promise promise = job->promise();
  Environment::of(env).work_begins(env);
  engine.submit(std::move(job));
  return promise;
}

/// A job that is one function.
template <typename Body>
class FunctionJob : public PromiseJob {
 public:
  FunctionJob(Napi::Env env, const Napi::Object& owner, Body body) : PromiseJob(env, owner), body_(std::move(body)) {}
  void run() override { body_(); }

 private:
  Body body_;
};

template <typename Body>
Napi::Value submit_function(Napi::Env env, const Napi::Object& owner, Engine& engine, Body body) {
  return submit(env, engine, std::make_unique<FunctionJob<Body>>(env, owner, std::move(body)));
}

}  // namespace dpm::addon
