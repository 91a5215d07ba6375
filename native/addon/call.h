// Calls whose work runs on the engine's thread: the arguments are read, the work is done, a promise is settled.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <utility>

#include "addon/convert/errors.h"
#include "addon/environment.h"

namespace dpm::addon {

/// The common part of all calls: a promise, settled on the JavaScript thread, and the object whose method was called,
/// which is kept alive until then.
class PromiseJob : public Job {
 public:
  explicit PromiseJob(const Napi::CallbackInfo& info)
      : environment_(Environment::of(info.Env())), owner_(Napi::Persistent(info.This().As<Napi::Object>())) {}

  /// Makes the promise once the arguments have been accepted. The process stays alive until it is settled.
  Napi::Promise promise(Napi::Env env);
  void finished(std::unique_ptr<Job> self) override;

 protected:
  /// The value that resolves the promise; made on the JavaScript thread after `run` has succeeded.
  virtual Napi::Value result(Napi::Env env) = 0;
  /// The error that rejects the promise even when the work succeeds; null where there is none.
  [[nodiscard]] virtual const Napi::Error* thrown() const = 0;

 private:
  friend class Settlement;
  void settle(Napi::Env env);

  Environment& environment_;
  std::optional<Napi::Promise::Deferred> deferred_;
  Napi::ObjectReference owner_;
};

enum class Refusal {
  kRejects,   ///< the promise is rejected when the engine refuses the work because it is closed
  kSucceeds,  ///< the promise is resolved all the same, because what was to be closed is closed
};

/// A call whose arguments are a `State`. A state may have `cancelled()`, which says that the result is no longer
/// wanted, and `thrown()`, the error that a function of the caller has thrown. It is destroyed on the JavaScript
/// thread.
template <typename State, typename Work, typename Answer>
class Call final : public PromiseJob {
 public:
  Call(const Napi::CallbackInfo& info, Refusal refusal, State state, Work work, Answer answer)
      : PromiseJob(info),
        refusal_(refusal),
        state_(std::move(state)),
        work_(std::move(work)),
        answer_(std::move(answer)) {}

  [[nodiscard]] State& state() { return state_; }
  void run() override { work_(state_); }
  [[nodiscard]] bool cancelled() const override {
    if constexpr (requires { state_.cancelled(); }) return state_.cancelled();
    return false;
  }
  void finished(std::unique_ptr<Job> self) override {
    if (refusal_ == Refusal::kSucceeds) error = ErrorCode::kOk;
    PromiseJob::finished(std::move(self));
  }

 protected:
  Napi::Value result(Napi::Env env) override { return answer_(env, state_); }
  [[nodiscard]] const Napi::Error* thrown() const override {
    if constexpr (requires { state_.thrown(); }) return state_.thrown();
    return nullptr;
  }

 private:
  Refusal refusal_;
  State state_;
  Work work_;
  Answer answer_;
};

/// An empty task for the engine's thread.
inline constexpr auto kNoWork = [](auto& /*state*/) {};
inline constexpr auto kUndefined = [](Napi::Env env, auto& /*state*/) { return env.Undefined(); };

/// Calls `read()`, which takes the arguments and returns the state, queues `work(state)` for the engine's thread and
/// returns the promise of `answer(env, state)`, which is made on the JavaScript thread. Errors of `read` are thrown;
/// errors of the other two reject the promise.
template <typename Read, typename Work, typename Answer>
Napi::Value call(const Napi::CallbackInfo& info, Engine& engine, const Read& read, Work work, Answer answer,
                 Refusal refusal = Refusal::kRejects) {
  return translated(info.Env(), [&]() -> Napi::Value {
    using Job = Call<decltype(read()), Work, Answer>;
    auto job = std::make_unique<Job>(info, refusal, read(), std::move(work), std::move(answer));
    Napi::Promise promise = job->promise(info.Env());
    engine.submit(std::move(job));
    return promise;
  });
}

}  // namespace dpm::addon
