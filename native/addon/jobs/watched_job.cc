#include "addon/jobs/watched_job.h"

#include <utility>

#include "addon/convert/typed_arrays.h"
#include "addon/wraps/cancel_token.h"

namespace dpm::addon {
namespace {

using Clock = std::chrono::steady_clock;

/// A call of a function of the caller. The job outlives it: its own delivery comes later in the same queue.
class Report : public Delivery {
 public:
  using Call = std::function<void(Napi::Env)>;
  explicit Report(Call call) : call_(std::move(call)) {}
  void deliver(Napi::Env env) override { call_(env); }

 private:
  Call call_;
};

}  // namespace

Napi::Value to_array(Napi::Env env, RunImages&& images) {
  if (images.floats.empty()) return to_level_array(env, std::move(images.levels));
  return to_float_array(env, std::move(images.floats));
}

Napi::Object to_object(Napi::Env env, RunResult&& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("images", to_array(env, std::move(result.images)));
  Napi::Array snapshots = Napi::Array::New(env, result.snapshots.size());
  for (std::uint32_t i = 0; i < result.snapshots.size(); ++i) {
    Napi::Object snapshot = Napi::Object::New(env);
    snapshot.Set("record", Napi::Number::New(env, result.snapshots[i].record));
    snapshot.Set("images", to_array(env, std::move(result.snapshots[i].images)));
    snapshots.Set(i, snapshot);
  }
  object.Set("snapshots", snapshots);
  return object;
}

WatchedJob::WatchedJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine,
                       const Napi::Object& options)
    : PromiseJob(env, owner), engine_(std::move(engine)) {
  const Napi::Value token = options.Get("cancel");
  has_token_ = !token.IsNull() && !token.IsUndefined();
  cancelled_ = CancelToken::flag_of(token, engine_);
  const Napi::Value progress = options.Get("onProgress");
  const Napi::Value preview = options.Get("onPreview");
  if (progress.IsFunction()) on_progress_ = Napi::Persistent(progress.As<Napi::Function>());
  if (preview.IsFunction()) on_preview_ = Napi::Persistent(preview.As<Napi::Function>());
}

void WatchedJob::watch(RunRequest& request) {
  request.cancelled = cancelled_;
  request.watched = has_token_ || !on_progress_.IsEmpty() || !on_preview_.IsEmpty();
  if (!on_progress_.IsEmpty()) {
    request.progress = [this](std::uint64_t done, std::uint64_t total) { report(done, total); };
  }
  if (!on_preview_.IsEmpty()) {
    request.preview = [this](std::uint32_t record, std::uint32_t first, RunImages images) {
      post([this, record, first, images = std::move(images)](Napi::Env env) mutable {
        on_preview_.Call(
            {Napi::Number::New(env, record), Napi::Number::New(env, first), to_array(env, std::move(images))});
      });
    };
  }
}

void WatchedJob::report(std::uint64_t done, std::uint64_t total) {
  const auto now = Clock::now();
  if (done < total && now - reported_ < interval_) return;
  reported_ = now;
  post([this, done, total](Napi::Env env) {
    on_progress_.Call(
        {Napi::Number::New(env, static_cast<double>(done)), Napi::Number::New(env, static_cast<double>(total))});
  });
}

void WatchedJob::post(std::function<void(Napi::Env)> call) {
  environment().post(std::make_unique<Report>([this, call = std::move(call)](Napi::Env env) {
    try {
      call(env);
    } catch (const Napi::Error& error) {
      reject_with(error);
      cancelled_->store(true);
      // A batch that waits for a function looks for it no sooner.
      engine_->drop_cancelled();
    }
  }));
}

}  // namespace dpm::addon
