// What a device has of the threads that all of the process may have.
#pragma once

namespace dpm::cpu {

/// Threads of one device, as long as it lives. Where $DPM_THREADS is set, those of all devices are together at most as
/// many, but for the one that each has at least.
class ThreadShare {
 public:
  /// `wanted` threads, or what is left of them; 0: as many as the process has processors. Throws Error(kArgument) when
  /// $DPM_THREADS is no number from 1 to 1024.
  explicit ThreadShare(int wanted);
  ~ThreadShare();
  ThreadShare(const ThreadShare&) = delete;
  ThreadShare& operator=(const ThreadShare&) = delete;

  [[nodiscard]] int count() const { return count_; }

 private:
  int count_;
};

}  // namespace dpm::cpu
