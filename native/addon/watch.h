// The link from a run to its JavaScript caller: cancellation, progress, states and images on the way.
#pragma once

#include <napi.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "addon/environment.h"
#include "sampling/request.h"

namespace dpm::addon {

/// The watch of a run, alive from the call until its promise is settled on the JavaScript thread.
class Watch {
 public:
  /// Reads `cancel`, `onProgress` and `onPreview` of the options. Throws Error(kArgument).
  Watch(Napi::Env env, std::shared_ptr<Engine> engine, const Napi::Object& options);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Sets this object as the receiver of `request`'s reports.
  void watch(RunRequest& request);
  /// Returns the receiver of numbers of steps that are done and of all; null where the caller has none.
  [[nodiscard]] std::function<void(std::uint64_t done, std::uint64_t total)> progress();
  /// Returns the flag that is set when the work is no longer wanted.
  [[nodiscard]] std::shared_ptr<const std::atomic<bool>> flag() const { return cancelled_; }
  /// Sets the least time between two reports of progress.
  void report_every(std::chrono::milliseconds interval) { interval_ = interval; }
  /// Reports every step: a batch that asks functions waits for JavaScript anyway.
  void report_every_step() { report_every(std::chrono::milliseconds(0)); }
  /// Calls a function of the caller on the JavaScript thread; an exception of it ends the run and rejects its promise.
  void post(std::function<void(Napi::Env)> report);
  [[nodiscard]] bool cancelled() const { return cancelled_->load(); }
  [[nodiscard]] const Napi::Error* thrown() const { return thrown_ ? &*thrown_ : nullptr; }

 private:
  void report(std::uint64_t done, std::uint64_t total);

  Environment& environment_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<std::atomic<bool>> cancelled_;
  bool has_token_ = false;
  Napi::FunctionReference on_progress_;
  Napi::FunctionReference on_preview_;
  std::chrono::steady_clock::time_point reported_;
  std::chrono::milliseconds interval_{20};
  std::optional<Napi::Error> thrown_;
};

}  // namespace dpm::addon
