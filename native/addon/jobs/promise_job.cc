#include "addon/jobs/promise_job.h"

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

Napi::Value PromiseJob::failure(Napi::Env env) const {
  if (thrown_) return thrown_->Value();
  return js_error(env, error, message).Value();
}

void PromiseJob::settle(Napi::Env env) {
  environment_.work_ends(env);
  if (!deferred_) return;
  if (thrown_ || error != ErrorCode::kOk) {
    deferred_->Reject(failure(env));
    return;
  }
  try {
    deferred_->Resolve(result(env));
  } catch (const Napi::Error& failed) {
    deferred_->Reject(failed.Value());
  } catch (...) {
    const auto [code, text] = current_error();
    deferred_->Reject(js_error(env, code, text).Value());
  }
}

}  // namespace dpm::addon
