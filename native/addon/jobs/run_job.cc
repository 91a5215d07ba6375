#include "addon/jobs/run_job.h"

#include <chrono>
#include <functional>
#include <utility>

#include "addon/convert/run_request.h"
#include "addon/convert/typed_arrays.h"
#include "addon/jobs/promise_job.h"
#include "addon/wraps/cancel_token.h"
#include "sampling/runner.h"

namespace dpm::addon {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kProgressInterval = std::chrono::milliseconds(20);

/// A call of a function of the caller. The job outlives it: its own delivery comes later in the same queue.
class Report : public Delivery {
 public:
  using Call = std::function<void(Napi::Env)>;
  explicit Report(Call call) : call_(std::move(call)) {}
  void deliver(Napi::Env env) override { call_(env); }

 private:
  Call call_;
};

class RunJob : public PromiseJob {
 public:
  RunJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, std::shared_ptr<Network> network,
         const Napi::Object& options)
      : PromiseJob(env, owner),
        engine_(std::move(engine)),
        network_(std::move(network)),
        request_(to_run_request(options)) {
    const Napi::Value token = options.Get("cancel");
    const bool has_token = !token.IsNull() && !token.IsUndefined();
    request_.cancelled = CancelToken::flag_of(token, engine_);
    const Napi::Value progress = options.Get("onProgress");
    const Napi::Value preview = options.Get("onPreview");
    request_.watched = has_token || progress.IsFunction() || preview.IsFunction();
    if (progress.IsFunction()) {
      on_progress_ = Napi::Persistent(progress.As<Napi::Function>());
      request_.progress = [this](std::uint64_t done, std::uint64_t total) { report(done, total); };
    }
    if (preview.IsFunction()) {
      on_preview_ = Napi::Persistent(preview.As<Napi::Function>());
      request_.preview = [this](std::uint32_t record, std::uint32_t first, RunImages images) {
        post([this, record, first, images = std::move(images)](Napi::Env env) mutable {
          on_preview_.Call(
              {Napi::Number::New(env, record), Napi::Number::New(env, first), to_array(env, std::move(images))});
        });
      };
    }
  }

  void run() override { result_ = run_programs(*network_, request_, engine_->stopping()); }
  [[nodiscard]] bool cancelled() const override { return request_.cancelled->load(); }

 protected:
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = Napi::Object::New(env);
    object.Set("images", to_array(env, std::move(result_.images)));
    Napi::Array snapshots = Napi::Array::New(env, result_.snapshots.size());
    for (std::uint32_t i = 0; i < result_.snapshots.size(); ++i) {
      Napi::Object snapshot = Napi::Object::New(env);
      snapshot.Set("record", Napi::Number::New(env, result_.snapshots[i].record));
      snapshot.Set("images", to_array(env, std::move(result_.snapshots[i].images)));
      snapshots.Set(i, snapshot);
    }
    object.Set("snapshots", snapshots);
    return object;
  }

 private:
  [[nodiscard]] Napi::Value to_array(Napi::Env env, RunImages&& images) const {
    if (request_.levels) return to_level_array(env, std::move(images.levels));
    return to_float_array(env, std::move(images.floats));
  }

  void report(std::uint64_t done, std::uint64_t total) {
    const auto now = Clock::now();
    if (done < total && now - reported_ < kProgressInterval) return;
    reported_ = now;
    post([this, done, total](Napi::Env env) {
      on_progress_.Call(
          {Napi::Number::New(env, static_cast<double>(done)), Napi::Number::New(env, static_cast<double>(total))});
    });
  }

  /// What the caller's function throws ends the run and rejects its promise.
  void post(Report::Call call) {
    environment().post(std::make_unique<Report>([this, call = std::move(call)](Napi::Env env) {
      try {
        call(env);
      } catch (const Napi::Error& error) {
        reject_with(error);
        request_.cancelled->store(true);
      }
    }));
  }

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Network> network_;
  RunRequest request_;
  RunResult result_;
  Napi::FunctionReference on_progress_;
  Napi::FunctionReference on_preview_;
  Clock::time_point reported_;
};

}  // namespace

std::unique_ptr<PromiseJob> make_run_job(const Napi::CallbackInfo& info, std::shared_ptr<Engine> engine,
                                         std::shared_ptr<Network> network) {
  require(info[0].IsObject(), "the request must be an object");
  return std::make_unique<RunJob>(info.Env(), info.This().As<Napi::Object>(), std::move(engine), std::move(network),
                                  info[0].As<Napi::Object>());
}

}  // namespace dpm::addon
