#include "addon/call.h"

namespace dpm::addon {

/// Carries a finished job to the JavaScript thread, and always destroys it there.
class Settlement : public Delivery {
 public:
  explicit Settlement(std::unique_ptr<PromiseJob> job) : job_(std::move(job)) {}
  void deliver(Napi::Env env) override { job_->settle(env); }

 private:
  std::unique_ptr<PromiseJob> job_;
};

Napi::Promise PromiseJob::promise(Napi::Env env) {
  environment_.work_begins(env);
  return deferred_.emplace(env).Promise();
}

void PromiseJob::finished(std::unique_ptr<Job> self) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): `self` owns this object.
  std::unique_ptr<PromiseJob> job(static_cast<PromiseJob*>(self.release()));
  environment_.post(std::make_unique<Settlement>(std::move(job)));
}

void PromiseJob::settle(Napi::Env env) {
  environment_.work_ends(env);
  if (!deferred_) return;
  if (const Napi::Error* own = thrown()) {
    deferred_->Reject(own->Value());
    return;
  }
  if (error != ErrorCode::kOk) {
    deferred_->Reject(js_error(env, error, message).Value());
    return;
  }
  try {
    deferred_->Resolve(translated(env, [&] { return result(env); }));
  } catch (const Napi::Error& failed) {
    deferred_->Reject(failed.Value());
  }
}

}  // namespace dpm::addon
