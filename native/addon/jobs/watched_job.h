// A job that runs programs for JavaScript: it can be cancelled, tells of its progress and shows states on the way.
#pragma once

#include <napi.h>

#include <chrono>
#include <functional>
#include <memory>

#include "addon/jobs/promise_job.h"
#include "sampling/run_result.h"

namespace dpm::addon {

class WatchedJob : public PromiseJob {
 public:
  /// Reads `cancel`, `onProgress` and `onPreview` of the options. Throws Error(kArgument).
  WatchedJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, const Napi::Object& options);
  [[nodiscard]] bool cancelled() const override { return cancelled_->load(); }

 protected:
  /// Has `request` tell this job, which has to outlive it.
  void watch(RunRequest& request);
  /// Tells of every step: those of batches that ask functions wait for JavaScript anyway.
  void report_every_step() { interval_ = std::chrono::milliseconds(0); }
  /// Calls a function of the caller on the JavaScript thread; what it throws ends the run and rejects its promise.
  void post(std::function<void(Napi::Env)> call);
  [[nodiscard]] const std::shared_ptr<Engine>& engine() const { return engine_; }

 private:
  void report(std::uint64_t done, std::uint64_t total);

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<std::atomic<bool>> cancelled_;
  bool has_token_ = false;
  Napi::FunctionReference on_progress_;
  Napi::FunctionReference on_preview_;
  std::chrono::steady_clock::time_point reported_;
  std::chrono::milliseconds interval_{20};
};

/// Images in the form that they have.
Napi::Value to_array(Napi::Env env, RunImages&& images);
Napi::Object to_object(Napi::Env env, RunResult&& result);

}  // namespace dpm::addon
