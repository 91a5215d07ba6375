#include "addon/jobs/run_job.h"

#include <utility>

#include "addon/convert/run_request.h"
#include "addon/jobs/watched_job.h"
#include "sampling/runner.h"

namespace dpm::addon {
namespace {

class RunJob : public WatchedJob {
 public:
  RunJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, std::shared_ptr<Network> network,
         const Napi::Object& options)
      : WatchedJob(env, owner, std::move(engine), options),
        network_(std::move(network)),
        request_(to_run_request(options)) {
    watch(request_);
  }

  void run() override { result_ = run_programs(*network_, request_, engine()->stopping()); }

 protected:
  Napi::Value result(Napi::Env env) override { return to_object(env, std::move(result_)); }

 private:
  std::shared_ptr<Network> network_;
  RunRequest request_;
  RunResult result_;
};

}  // namespace

std::unique_ptr<PromiseJob> make_run_job(const Napi::CallbackInfo& info, std::shared_ptr<Engine> engine,
                                         std::shared_ptr<Network> network) {
  require(info[0].IsObject(), "the request must be an object");
  return std::make_unique<RunJob>(info.Env(), info.This().As<Napi::Object>(), std::move(engine), std::move(network),
                                  info[0].As<Napi::Object>());
}

}  // namespace dpm::addon
