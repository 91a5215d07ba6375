#include "addon/watch.h"

#include <utility>

#include "addon/convert/objects.h"
#include "addon/convert/run_result.h"
#include "addon/wraps/cancel_token.h"

namespace dpm::addon {
namespace {

using Clock = std::chrono::steady_clock;

/// A call of a caller's function. The watch outlives it: the end of its run comes later in the same queue.
class Report : public Delivery {
 public:
  using Function = std::function<void(Napi::Env)>;
  explicit Report(Function function) : function_(std::move(function)) {}
  void deliver(Napi::Env env) override { function_(env); }

 private:
  Function function_;
};

}  // namespace

Watch::Watch(Napi::Env env, std::shared_ptr<Engine> engine, const Napi::Object& options)
    : environment_(Environment::of(env)), engine_(std::move(engine)) {
  const Napi::Value token = options.Get("cancel");
  has_token_ = !is_absent(token);
  cancelled_ = CancelToken::flag_of(token, engine_);
  const Napi::Value progress = options.Get("onProgress");
  const Napi::Value preview = options.Get("onPreview");
  if (progress.IsFunction()) on_progress_ = Napi::Persistent(progress.As<Napi::Function>());
  if (preview.IsFunction()) on_preview_ = Napi::Persistent(preview.As<Napi::Function>());
}

void Watch::watch(RunRequest& request) {
  request.cancelled = cancelled_;
  request.watched = has_token_ || !on_progress_.IsEmpty() || !on_preview_.IsEmpty();
  if (!on_progress_.IsEmpty()) request.progress = progress();
  if (!on_preview_.IsEmpty()) {
    request.preview = [this](std::uint32_t record, std::uint32_t first, RunImages images) {
      post([this, record, first, images = std::move(images)](Napi::Env env) mutable {
        on_preview_.Call(
            {Napi::Number::New(env, record), Napi::Number::New(env, first), to_array(env, std::move(images))});
      });
    };
  }
}

std::function<void(std::uint64_t done, std::uint64_t total)> Watch::progress() {
  if (on_progress_.IsEmpty()) return {};
  return [this](std::uint64_t done, std::uint64_t total) { report(done, total); };
}

void Watch::report(std::uint64_t done, std::uint64_t total) {
  const auto now = Clock::now();
  if (done < total && now - reported_ < interval_) return;
  reported_ = now;
  post([this, done, total](Napi::Env env) {
    on_progress_.Call(
        {Napi::Number::New(env, static_cast<double>(done)), Napi::Number::New(env, static_cast<double>(total))});
  });
}

void Watch::post(std::function<void(Napi::Env)> report) {
  environment_.post(std::make_unique<Report>([this, report = std::move(report)](Napi::Env env) {
    try {
      report(env);
    } catch (const Napi::Error& error) {
      thrown_ = error;
      cancelled_->store(true);
      // A batch that waits for a function looks for cancelled work only when it is told to.
      engine_->drop_cancelled();
    }
  }));
}

}  // namespace dpm::addon
