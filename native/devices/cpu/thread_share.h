// The share of a device in the threads that the process may use.
#pragma once

namespace dpm::cpu {

/// Threads of one device, for its lifetime. Where $DPM_THREADS is set, it limits the threads of all devices together,
/// but each device gets at least one.
class ThreadShare {
 public:
  /// Takes `wanted` threads, or as many as are left; 0: as many as the process has processors. Throws Error(kArgument)
  /// when $DPM_THREADS is no number from 1 to 1024.
  explicit ThreadShare(int wanted);
  ~ThreadShare();
  ThreadShare(const ThreadShare&) = delete;
  ThreadShare& operator=(const ThreadShare&) = delete;

  [[nodiscard]] int count() const { return count_; }

 private:
  int count_;
};

}  // namespace dpm::cpu
