#include "addon/jobs/run_job.h"

#include <utility>

#include "addon/convert/objects.h"
#include "addon/convert/run_request.h"
#include "addon/convert/typed_arrays.h"
#include "addon/jobs/watched_job.h"
#include "addon/wraps/network_wrap.h"
#include "sampling/run.h"

namespace dpm::addon {
namespace {

std::vector<Guide> to_guides(const Napi::Object& options) {
  std::vector<Guide> guides;
  if (!has_value(options, "guides")) return guides;
  const Napi::Array array = to_array(options, "guides");
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Object object = object_at(array, i, "a guide");
    Guide& guide = guides.emplace_back();
    guide.scale = to_float(object, "scale");
    const Napi::Value network = object.Get("network");
    const Napi::Value given = object.Get("labels");
    guide.network = NetworkWrap::network_of(network, "the network of a guide");
    const auto labels = int32_elements(given, "labels");
    guide.labels.assign(labels.data, labels.data + labels.size);
  }
  return guides;
}

class RunJob : public WatchedJob {
 public:
  RunJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, std::shared_ptr<Network> network,
         const Napi::Object& options)
      : WatchedJob(env, owner, std::move(engine), options),
        network_(std::move(network)),
        request_(to_run_request(options)) {
    request_.guides = to_guides(options);
    watch(request_);
  }

  void run() override { result_ = run_programs(*network_, std::move(request_), engine()->stopping()); }

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
