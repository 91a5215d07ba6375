#include "addon/promise_job.h"

namespace dpm::addon {

/// Carries a finished job to the JavaScript thread and, whatever happens there, destroys it there.
class Settlement : public Delivery {
 public:
  explicit Settlement(std::unique_ptr<PromiseJob> job) : job_(std::move(job)) {}
  void deliver(Napi::Env env) override { job_->settle(env); }

 private:
  std::unique_ptr<PromiseJob> job_;
};

void PromiseJob::finished(std::unique_ptr<Job> self) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): `self` owns this object.
  std::unique_ptr<PromiseJob> job(static_cast<PromiseJob*>(self.release()));
  environment_.post(std::make_unique<Settlement>(std::move(job)));
}

void PromiseJob::settle(Napi::Env env) {
  environment_.work_ends(env);
  if (error != ErrorCode::kOk) {
    deferred_.Reject(js_error(env, error, message).Value());
    return;
  }
  try {
    deferred_.Resolve(result(env));
  } catch (const Napi::Error& failure) {
    deferred_.Reject(failure.Value());
  }
}

}  // namespace dpm::addon
