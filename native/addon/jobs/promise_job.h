// A job whose end settles a promise on the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <utility>

#include "addon/convert/errors.h"
#include "addon/environment.h"

namespace dpm::addon {

class PromiseJob : public Job {
 public:
  /// `owner` is kept alive until the promise is settled.
  PromiseJob(Napi::Env env, const Napi::Object& owner)
      : environment_(Environment::of(env)), owner_(Napi::Persistent(owner)) {}

  /// Makes the promise; once, when the job's arguments have been accepted.
  Napi::Promise promise(Napi::Env env) { return deferred_.emplace(env).Promise(); }
  void finished(std::unique_ptr<Job> self) override;

 protected:
  /// What the promise is resolved with; on the JavaScript thread, after `run` has succeeded.
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }
  /// On the JavaScript thread: the promise is rejected with this, whatever else happens.
  void reject_with(const Napi::Error& error) { thrown_ = error; }
  [[nodiscard]] Environment& environment() const { return environment_; }

 private:
  friend class Settlement;
  void settle(Napi::Env env);
  [[nodiscard]] Napi::Value failure(Napi::Env env) const;

  Environment& environment_;
  std::optional<Napi::Promise::Deferred> deferred_;
  std::optional<Napi::Error> thrown_;
  Napi::ObjectReference owner_;
};

/// Queues `job` and returns its promise.
template <typename ConcreteJob>
Napi::Promise submit(Napi::Env env, Engine& engine, std::unique_ptr<ConcreteJob> job) {
  Napi::Promise promise = job->promise(env);
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

/// Comes after everything queued before it and succeeds even when the engine refuses work.
class LastJob : public PromiseJob {
 public:
  using PromiseJob::PromiseJob;
  void run() override {}
  void finished(std::unique_ptr<Job> self) override {
    error = ErrorCode::kOk;
    PromiseJob::finished(std::move(self));
  }
};

}  // namespace dpm::addon
